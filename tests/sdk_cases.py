"""Code that both flyte_nb and the Flyte SDK take: together the cases set every field that there is."""

from __future__ import annotations

VALUES = [
    "flyte.Resources(cpu=(1, '2'), memory=('1Gi', '2Gi'), gpu='T4:2', disk='5Gi', shm='auto')",
    "flyte.Resources(cpu=0.5, gpu=2, shm='1Gi')",
    "flyte.Resources(gpu=flyte.GPU('A100', 2, '1g.5gb'))",
    "flyte.TPU('V5P', '2x2x1')",
    "flyte.Neuron('Trn1')",
    "flyte.Device(2, 'AMD_GPU', 'MI300X')",
    "flyte.Secret('key', 'group', as_env_var='NAME')",
    "flyte.Secret('key', mount=__import__('pathlib').Path('/etc/flyte/secrets'))",
    "flyte.PodTemplate(__import__('kubernetes').client.V1PodSpec(containers=[__import__('kubernetes').client.V1Container("
    "name='main')]), 'main', {'a': 'b'}, {'c': 'd'})",
    "flyte.PodTemplate(labels={'a': 'b'})",
    "flyte.ReusePolicy((1, 3), 60, 2, 90)",
    "flyte.ReusePolicy(scope='run')",
    "flyte.Cache('auto', serialize=True, ignored_inputs=('x',), salt='s')",
    "flyte.Cache('override', version_override='v1', ignored_inputs='x')",
    "flyte.Cache('disable')",
    "flyte.Cache('auto', max_age=60)",
    "flyte.RetryStrategy(3)",
    "flyte.RetryStrategy(3, flyte.Backoff(td(seconds=1), 2.0, td(seconds=9)))",
    "flyte.Timeout(5, td(seconds=6))",
    "flyte.Timeout(td(seconds=5), 6, deadline=7)",
    "Documentation('text')",
    "flyte.Cron('0 9 * * 1', 'Europe/Zurich')",
    "flyte.FixedRate(5, __import__('datetime').datetime(2026, 1, 2))",
    "flyte.Trigger('a', flyte.Cron('* * * * *'), 'text', False, {'t': flyte.TriggerTime, 'x': 1}, {'A': 'b'}, True, "
    "True, 'q')",
    "flyte.Trigger('a', flyte.FixedRate(5), labels={'a': 'b'}, annotations={'c': 'd'}, custom_context={'e': 'f'})",
    "flyte.Trigger('a', flyte.FixedRate(5), max_action_concurrency=4)",
    "flyte.Trigger('a', flyte.OnArtifact('x', '1', {'p': 'q'}), inputs={'a': flyte.TriggeredArtifact, "
    "'b': flyte.TriggeredPartition('p')})",
    "flyte.Trigger.daily('t', name='d', description='text')",
    "flyte.Trigger('a', flyte.FixedRate(5), notifications=(notify.Email(on_phase=Phase.FAILED, recipients=('a@b.c',), "
    "cc=('d@e.f',), bcc=('g@h.i',), subject='s', body='b', html_body='h'), notify.Slack(on_phase=Phase.SUCCEEDED, "
    "webhook_url='https://x', message='m', blocks=({'a': 1},)), notify.Teams(on_phase=(Phase.ABORTED, "
    "Phase.TIMED_OUT), webhook_url='https://x', title='t', message='m', card={'a': 1}), notify.Webhook("
    "on_phase=Phase.FAILED, url='https://x', method='PUT', headers={'a': 'b'}, body={'a': 'b'}), "
    "notify.NamedDelivery(on_phase=Phase.FAILED, name='n')))",
    "flyte.Trigger('a', flyte.FixedRate(5), notifications=notify.NamedRule('n'))",
    "flyte.app.Port(9000, 'h2c')",
    "flyte.app.Link('/a', 'b', True)",
    "flyte.app.Scaling((1, 3), flyte.app.Scaling.Concurrency(4), 60)",
    "flyte.app.Scaling(2, flyte.app.Scaling.RequestRate(4))",
    "flyte.app.Timeouts(60)",
    "flyte.app.Domain('sub', 'own.example')",
    "flyte.app.Domain(flyte.app.Subdomain.from_app_name('a', 'default'))",
    "flyte.app.Subdomain.from_function(len)",
    "flyte.app.Parameter('a', 'b', 'string', 'NAME', False, '/mnt', ['*.pyc'])",
    "flyte.app.Parameter('a', flyte.io.File(path='/a/b.csv', name='n', format='csv', hash='h'))",
    "flyte.app.Parameter('a', flyte.io.Dir(path='/a/b', name='n', format='csv', hash='h'))",
    "flyte.app.Parameter('a', flyte.app.RunOutput(type='file', run_name='r', getter=(1, 'x')))",
    "flyte.app.RunOutput(type='string', task_name='e.f', task_version='1')",
    "flyte.app.RunOutput(type='string', task_name='e.f', task_auto_version='latest')",
    "flyte.app.ArtifactValue(name='n', version='v', project='p', domain='d', type='file')",
    "flyte.app.AppEndpoint(app_name='other', public=True)",
    "flyte.clustered.TorchRun(rdzv_backend='c10d', max_restarts=2)",
    "flyte.clustered.JaxRun()",
    "flyte.clustered.ClusterFailurePolicy(max_restarts=2, restart_on_host_maintenance=True)",
]
IMAGES = [
    "from_debian_base()",
    "from_debian_base(python_version=(3, 12), flyte_version='2.3.0', platform=('linux/arm64',))",
    "from_debian_base(install_flyte=False)",
    "from_debian_base(install_flyte=False, registry='r', name='n', registry_secret='s').with_workdir('/w')",
    "from_base('python:3.12')",
    "from_base('python:3.12').clone(name='n', extendable=True).with_env_vars({'A': 'b'})",
    "from_ref_name('custom')",
    "from_dockerfile(Path('Dockerfile'), 'r', 'n', ('linux/arm64',))",
    "from_uv_script('a.py', name='n', index_url='i', extra_index_urls=('j',), pre=True, extra_args='-v', "
    "secret_mounts=[flyte.Secret('s')])",
    "from_pixi_script('a.py', name='n', environment='e', extra_args='-v', secret_mounts=[flyte.Secret('s')])",
    "from_debian_base().with_pip_packages('a', 'b', index_url='i', extra_index_urls='j', pre=True, extra_args='-v', "
    "secret_mounts=[flyte.Secret('s')])",
    "from_debian_base().with_requirements(Path('r.txt'), 'i', ('j',), True, '-v', [flyte.Secret('s')])",
    "from_debian_base().with_apt_packages('git', secret_mounts=[flyte.Secret('s')]).with_commands(['a', 'b'], "
    "secret_mounts=[flyte.Secret('s')])",
    "from_debian_base().with_source_folder(Path('src')).with_source_folder(Path('src'), '/x', True)",
    "from_debian_base().with_source_file(Path('a.txt'), '/x').with_dockerignore(Path('.dockerignore'))",
    "from_debian_base().with_code_bundle('all', '/x')",
    "from_debian_base().with_uv_project('p/pyproject.toml', Path('p/uv.lock'), 'i', ('j',), True, '-v', "
    "[flyte.Secret('s')], 'install_project')",
    "from_debian_base().with_poetry_project('p/pyproject.toml', Path('p/other.lock'), '-v', [flyte.Secret('s')], "
    "'install_project')",
    "from_debian_base().with_pixi_project('p/pixi.toml', Path('p/pixi.lock'), 'e', '-v', [flyte.Secret('s')], "
    "'install_project')",
]
SHARED = (
    "pod_template=flyte.PodTemplate(labels={'a': 'b'}), description='d', secrets=['s', flyte.Secret('t')], "
    "env_vars={'A': 'b'}, resources=flyte.Resources(cpu=1), interruptible=True, "
    "image=flyte.Image.from_debian_base().with_pip_packages('a'), include=('a.txt',)"
)
SERVED = (
    f"depends_on=[flyte.app.AppEnvironment('up')], {SHARED}, args='a b', requires_auth=False, "
    "scaling=flyte.app.Scaling((1, 2)), domain=flyte.app.Domain('s'), links=[flyte.app.Link('/a', 'b')], "
    "parameters=[flyte.app.Parameter('p', 'v')], cluster_pool='c', timeouts=flyte.app.Timeouts(9)"
)
MADE = (
    "result = flyte.app.AppEnvironment('a'",
    "result = flyte.app.ConnectorEnvironment('a'",
    "result = extras.FastAPIAppEnvironment(name='a', app=__import__('fastapi').FastAPI()",
)
ENVIRONMENTS = [
    "result = flyte.TaskEnvironment('e')",
    f"up = flyte.TaskEnvironment('up')\nresult = flyte.TaskEnvironment('e', [up], {SHARED}, cache='auto', queue='q')",
    "result = flyte.TaskEnvironment('e', service_account='a')",
    """
result = flyte.TaskEnvironment('e', reusable=flyte.ReusePolicy(2))
@result.task(short_name='s', cache=flyte.Cache('auto', salt='x'), retries=2, timeout=td(seconds=5),
             docs=Documentation('d'), report=True, interruptible=True, max_inline_io_bytes=99, queue='q',
             triggers=flyte.Trigger('a', flyte.Cron('* * * * *')), entrypoint=True)
def f(x: int, y: str = 'a') -> tuple[int, str]: return x, y
@result.task
async def g() -> None: ...
""",
    """
class Own:
    name, icon_uri = 'a', ''
    def get_link(self, **kwargs): return 'https://x'
link, resolver = Own(), object()
result = flyte.TaskEnvironment('e', env_vars={'A': 'b'}, resources=flyte.Resources(cpu=1), secrets='s')
@result.task(links=link, task_resolver=resolver, pod_template='p', retries=flyte.RetryStrategy(1))
def f(x: list[int]) -> dict[str, int]: return {}
result._tasks['e.f'] = f.override(resources=flyte.Resources(cpu=3), env_vars={'C': 'd'}, timeout=9, short_name='o')
""",
    "result = flyte.TaskEnvironment('e')\n@result.task(produces_artifacts=True)\ndef f() -> int: return 1",
    "result = flyte.TaskEnvironment('e', service_account='a')\n@result.task(service_account='b')\ndef f() -> int: ...",
    "base = flyte.TaskEnvironment('e', description='d', cache='auto', queue='q')\n"
    "result = base.clone_with('f', resources=flyte.Resources(cpu=2), env_vars={'A': 'b'})",
    """
task = flyte.extras.ContainerTask('c', 'alpine:3', ['echo', '{{.inputs.x}}'], {'x': int}, ['a'], {'y': str}, '/in',
                           '/out',
                           'YAML', False, resources=flyte.Resources(cpu=1), retries=2, timeout=5, env_vars={'A': 'b'},
                           secrets='s', cache='override' and flyte.Cache('override', version_override='1'), report=True,
                           docs=Documentation('d'), interruptible=True, queue='q', max_inline_io_bytes=9,
                           pod_template='p', short_name='s', task_type_version=1, debuggable=True, entrypoint=True,
                           triggers=(flyte.Trigger('a', flyte.FixedRate(5)),))
result = flyte.TaskEnvironment.from_task('e', task)
""",
    "result = flyte.TaskEnvironment.from_task('e', flyte.extras.ContainerTask('c', 'alpine:3', ['a'], "
    "file_input_layout='NAMED_DIR'))",
    "result = flyte.TaskEnvironment.from_task('e', flyte.extras.ContainerTask('c', 'alpine:3', ['a'], "
    "service_account='s'))",
    "result = flyte.TaskEnvironment.from_task('e', flyte.extras.ContainerTask('c', 'alpine:3', ['a'], "
    "produces_artifacts=True))",
    "class Own:\n    name, icon_uri = 'a', ''\n    def get_link(self, **kwargs): return 'https://x'\n"
    "result = flyte.TaskEnvironment.from_task('e', flyte.extras.ContainerTask('c', 'alpine:3', ['a'], "
    "links=(Own(),)))",
    """
result = flyte.clustered.ClusteredTaskEnvironment(
    name='e', depends_on=[flyte.TaskEnvironment('up')], SHARED, cache='auto', queue='q', replicas=2, nproc_per_node=2,
    runtime=flyte.clustered.TorchRun(max_restarts=1), interconnect='tcp',
    failure_policy=flyte.clustered.ClusterFailurePolicy(max_restarts=3), ttl_seconds_after_finished=60)
@result.task
def f() -> int: return 1
""".replace("SHARED", SHARED),
    f"result = flyte.app.AppEnvironment('a', {SERVED}, type='t', port=9000)",
    f"result = flyte.app.ConnectorEnvironment('a', {SERVED}, type='t', port=9000)",
    "import fastapi, uvicorn\napplication = fastapi.FastAPI()\nresult = extras.FastAPIAppEnvironment(name='a', "
    f"{SERVED}, type='t', port=9000, app=application, uvicorn_config=uvicorn.Config(application, port=9001))",
    *(f"{made}, command=['run', 'it'], cluster='c')" for made in MADE),
    *(f"{made}, service_account='b')" for made in MADE),
    "result = flyte.clustered.ClusteredTaskEnvironment(name='e', replicas=1, nproc_per_node=1, service_account='b')",
    """
result = flyte.app.AppEnvironment('a')
@result.on_startup
def start(): ...
@result.server
async def serve(): ...
@result.on_shutdown
def end(): ...
""",
    "result = flyte.app.ConnectorEnvironment('c', include=('a.py',))",
    "result = flyte.app.ConnectorEnvironment('c', port=flyte.app.Port(9000, 'h2c'), type='own')",
    """
import fastapi, uvicorn
application = fastapi.FastAPI()
result = extras.FastAPIAppEnvironment('f', app=application, uvicorn_config=uvicorn.Config(application, port=9001),
                                      type='own', links=[flyte.app.Link('/a', 'b')])
""",
]
#: what a plugin of the SDK is configured with; one that is not installed there is refused by name
PLUGINS = [
    """
result = flyte.TaskEnvironment('ray', plugin_config=ray.RayJobConfig(
    worker_node_config=[ray.WorkerNodeConfig('a', 2, 1, 3, {'num-cpus': '1'}, requests=flyte.Resources(cpu=1),
                                             limits=flyte.Resources(cpu=2), pod_template=flyte.PodTemplate())],
    head_node_config=ray.HeadNodeConfig({'num-cpus': '0'}, flyte.PodTemplate(labels={'a': 'b'}),
                                        flyte.Resources(memory='1Gi'), flyte.Resources(memory='2Gi')),
    runtime_env={'pip': ['a']}, enable_autoscaling=True, shutdown_after_job_finishes=True,
    ttl_seconds_after_finished=60, address='head:6379',
    autoscaler_options=ray.AutoscalerOptionsConfig(ray.AutoscalerOptionsConfig.UpscalingMode.AGGRESSIVE, 60, 'image',
                                                   {'A': 'b'}, flyte.Resources(cpu='500m'))))
@result.task
def f(x: int) -> int: ...
""",
    """
result = flyte.TaskEnvironment('ray', plugin_config=ray.RayJobConfig([ray.WorkerNodeConfig('a', 2)]),
                               reusable=flyte.ReusePolicy(1))
@result.task
async def f() -> None: ...
""",
    """
result = flyte.TaskEnvironment('spark', plugin_config=spark.Spark(
    {'spark.executor.instances': '2', 'spark.executor.memory': '1g'}, {'fs.s3a.endpoint': 'http://here'},
    '/opt/bin/python', 'local:///opt/main.py', flyte.PodTemplate(labels={'a': 'b'}),
    flyte.PodTemplate(labels={'c': 'd'})))
@result.task
def f(x: int) -> int: ...
""",
    """
result = flyte.TaskEnvironment('spark', plugin_config=spark.Spark())
@result.task(retries=2)
async def f() -> None: ...
""",
    """
result = flyte.TaskEnvironment('dask', plugin_config=dask.Dask(
    dask.Scheduler('ghcr.io/a/b:1', flyte.Resources(cpu=1, memory='1Gi')),
    dask.WorkerGroup(3, 'ghcr.io/c/d:2', flyte.Resources(cpu=2, memory=('1Gi', '2Gi')))))
@result.task
def f(x: int) -> int: ...
""",
    """
result = flyte.TaskEnvironment('dask', plugin_config=dask.Dask())
@result.task
def f() -> None: ...
""",
]
PLUGIN_HEAD = """
def plugin(name):
    try:
        return m(f'flyteplugins.{name}' if flyte.__name__ == 'flyte' else f'flyte_nb.plugins.{name}')
    except ImportError:
        return None  # the cases of the others are compared all the same
ray, spark, dask = plugin('ray'), plugin('spark'), plugin('dask')
"""
HEAD = """
from datetime import timedelta as td
from importlib import import_module as m
from pathlib import Path
notify, extras = m(flyte.__name__ + '.notify'), m(flyte.__name__ + '.app.extras')
Phase = m(flyte.__name__ + '.models').ActionPhase
Documentation = getattr(flyte, 'Documentation', None) or m('flyte._doc').Documentation
m(flyte.__name__ + '.app'), m(flyte.__name__ + '.io'), m(flyte.__name__ + '.extras')
"""
CASES = [
    *(f"{HEAD}\nresult = {value}" for value in VALUES),
    *(f"{HEAD}\nresult = flyte.Image.{image}" for image in IMAGES),
    *(f"{HEAD}\n{environment}" for environment in ENVIRONMENTS),
    *(f"{HEAD}{PLUGIN_HEAD}{environment}" for environment in PLUGINS),
]
