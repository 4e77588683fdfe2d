-- Whether a run's tokens, and a cost that follows from them, are estimates.

ALTER TABLE dagway.runs ADD COLUMN estimated boolean NOT NULL DEFAULT false;

UPDATE dagway.runs SET estimated = true WHERE strpos(facts, '"dagway.usage.is_estimate":true') > 0;
