-- How many times a step of the run was tried again.

ALTER TABLE dagway.runs ADD COLUMN retries bigint NOT NULL DEFAULT 0;

UPDATE dagway.runs SET retries = substring(facts FROM '"dagway\.retries":([0-9]{1,9})')::bigint
WHERE facts ~ '"dagway\.retries":[0-9]';
