-- What turned the source into a program: compile or warm, as the worker says. Both give the same
-- metrics, not the same times. Empty: it did not say.
ALTER TABLE evaluation ADD COLUMN evaluator text NOT NULL DEFAULT ''
  CONSTRAINT evaluation_evaluator CHECK (evaluator IN ('', 'compile', 'warm'));
