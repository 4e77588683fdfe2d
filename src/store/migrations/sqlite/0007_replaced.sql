-- Whether another run went on with the request: a fallback.

ALTER TABLE runs ADD COLUMN replaced INTEGER NOT NULL DEFAULT 0;

UPDATE runs SET replaced = 1 WHERE instr(facts, '"dagway.fallback.by_run":') > 0;
