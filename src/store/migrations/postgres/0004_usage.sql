-- What runs are told apart by when they are added up: the model that was sent upstream (or asked for, where none was),
-- who answered, and the client.

ALTER TABLE dagway.runs ADD COLUMN model text;
ALTER TABLE dagway.runs ADD COLUMN provider text;
ALTER TABLE dagway.runs ADD COLUMN client text;

-- Of runs that are there already only what is written without an escape: facts are no JSON to PostgreSQL where they hold
-- what is no text to it. Texts are split, because a regular expression takes ten times as long.
UPDATE dagway.runs SET
    model = coalesce(
        nullif(split_part(split_part(facts, '"gen_ai.request.model":"', 2), '"', 1), ''),
        nullif(split_part(split_part(facts, '"dagway.model.asked":"', 2), '"', 1), '')),
    provider = coalesce(
        nullif(split_part(split_part(facts, '"openrouter.provider":"', 2), '"', 1), ''),
        nullif(split_part(split_part(facts, '"gen_ai.provider.name":"', 2), '"', 1), '')),
    client = nullif(split_part(split_part(facts, '"user_agent.original":"', 2), '"', 1), '');

-- What ends with a backslash was cut at an escape.
UPDATE dagway.runs SET model = NULL WHERE strpos(model, '\') > 0;
UPDATE dagway.runs SET provider = NULL WHERE strpos(provider, '\') > 0;
UPDATE dagway.runs SET client = NULL WHERE strpos(client, '\') > 0;
