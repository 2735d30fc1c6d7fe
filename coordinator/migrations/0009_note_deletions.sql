-- Deletions that were carried out: repeating one changes nothing, also when its campaign is gone
-- or the name is another one's by now. Forgotten after a day.
CREATE TABLE campaign_deletion (
  name text NOT NULL,
  request_id text NOT NULL,
  created_at timestamptz NOT NULL DEFAULT now(),
  PRIMARY KEY (name, request_id)
);
