"""Task plugins: tasks that have an engine of their own, such as Ray, around them.

A plugin is a module that declares a configuration and the class of its tasks, and registers the two:

- the configuration: frozen subclasses of `flyte_nb.environments.declaration.Declaration`, with the names and the fields
  of the Flyte SDK's plugin, so that declarations read the same in both;
- the task class: a ``@dataclass(kw_only=True)`` subclass of `AsyncFunctionTaskTemplate` with its ``task_type``. Its
  hooks: ``around`` starts the engine on this machine or joins one, and stops it; ``local_resources`` says what that
  takes of the machine; ``refused_reuse`` and the class variable ``supports_reuse_policy`` say whether it can be kept
  warm;
- ``TaskPluginRegistry.register(config, task_class)`` at the end of the module.

On a cluster the configuration becomes that of the SDK's plugin: a row for each class in ``engine/cluster/plugins.py``;
a stranger's plugin registers with the SDK itself. Ray, Spark and Dask are built in: importing their module registers
them. Other packages name a module as an entry point of the group ``flyte_nb.plugins``.
"""
