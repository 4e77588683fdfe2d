-- What runs are told apart by when they are added up: the model that was sent upstream (or asked for, where none was),
-- who answered, and the client.

ALTER TABLE dagway.runs ADD COLUMN model text;
ALTER TABLE dagway.runs ADD COLUMN provider text;
ALTER TABLE dagway.runs ADD COLUMN client text;

-- Of runs that are there already only what is written without an escape: facts are no JSON to PostgreSQL where they hold
-- what is no text to it.
UPDATE dagway.runs SET
    model = coalesce(
        nullif(substring(facts FROM '"gen_ai\.request\.model":"([^"\\]*)"'), ''),
        nullif(substring(facts FROM '"dagway\.model\.asked":"([^"\\]*)"'), '')),
    provider = coalesce(
        nullif(substring(facts FROM '"openrouter\.provider":"([^"\\]*)"'), ''),
        nullif(substring(facts FROM '"gen_ai\.provider\.name":"([^"\\]*)"'), '')),
    client = nullif(substring(facts FROM '"user_agent\.original":"([^"\\]*)"'), '');
