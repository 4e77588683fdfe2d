-- How many times a step of the run was tried again.

ALTER TABLE runs ADD COLUMN retries INTEGER NOT NULL DEFAULT 0;

UPDATE runs SET retries = json_extract(facts, '$."dagway.retries"')
WHERE instr(facts, '"dagway.retries":') > 0 AND json_type(facts, '$."dagway.retries"') = 'integer';
