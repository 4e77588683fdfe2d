-- When the process that has the folder was last known to live: the end of the runs that it leaves open when it dies.
-- One row while there are such runs. It is written now and then, and once for all of them.

CREATE TABLE alive (
    one INTEGER PRIMARY KEY CHECK (one = 1),
    at INTEGER NOT NULL                      -- microseconds since the Unix epoch, UTC
) STRICT;
