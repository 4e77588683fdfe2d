-- What runs are told apart by when they are added up: the model that was sent upstream (or asked for, where none was),
-- who answered, and the client.

ALTER TABLE runs ADD COLUMN model TEXT;
ALTER TABLE runs ADD COLUMN provider TEXT;
ALTER TABLE runs ADD COLUMN client TEXT;

UPDATE runs SET
    model = coalesce(
        nullif(json_extract(facts, '$."gen_ai.request.model"'), ''),
        nullif(json_extract(facts, '$."dagway.model.asked"'), '')),
    provider = coalesce(
        nullif(json_extract(facts, '$."openrouter.provider"'), ''),
        nullif(json_extract(facts, '$."gen_ai.provider.name"'), '')),
    client = nullif(json_extract(facts, '$."user_agent.original"'), '');
