-- The name of the client key that a run came in with. Runs that are there already came in before keys had names.

ALTER TABLE runs ADD COLUMN key_name TEXT;
