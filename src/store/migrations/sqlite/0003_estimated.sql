-- Whether a run's tokens, and a cost that follows from them, are estimates.

ALTER TABLE runs ADD COLUMN estimated INTEGER NOT NULL DEFAULT 0;

UPDATE runs SET estimated = 1 WHERE instr(facts, '"dagway.usage.is_estimate":true') > 0;
