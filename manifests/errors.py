"""What can be wrong with a manifest or a run folder as a whole; what is wrong with one row is a `RowFault` instead."""


class ManifestError(Exception):
    """The manifest cannot be used at all. The message names the file or column, what was expected, and what to do; the command exits 2."""


class RunFolderError(Exception):
    """A run folder cannot be used, or does not fit the manifest. The message names the file and what to do."""
