-- Checkpoints of trainings that were interrupted: blobs that go when nobody needs them any more.
ALTER TABLE blob ADD COLUMN is_checkpoint boolean NOT NULL DEFAULT false;
-- Serves their sum and their deletion.
CREATE INDEX blob_checkpoint ON blob (created_at) WHERE is_checkpoint;

-- The latest checkpoint of the item, for whoever gets it next.
ALTER TABLE work_item ADD COLUMN checkpoint text;
-- Serves the deletion of checkpoints: those of open items stay.
CREATE INDEX work_item_checkpoint ON work_item (checkpoint) WHERE checkpoint IS NOT NULL;

-- Whether the result came of a training that went on from a checkpoint.
ALTER TABLE evaluation ADD COLUMN is_resumed boolean NOT NULL DEFAULT false;
