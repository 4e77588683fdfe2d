-- Whether another run went on with the request: a fallback.

ALTER TABLE dagway.runs ADD COLUMN replaced boolean NOT NULL DEFAULT false;

UPDATE dagway.runs SET replaced = true WHERE strpos(facts, '"dagway.fallback.by_run":') > 0;
