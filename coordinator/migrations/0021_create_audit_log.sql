-- Who changed what. An entry is written before the change, so that none is without one, and gets
-- its outcome behind it.
CREATE TABLE audit_entry (
  id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  created_at timestamptz NOT NULL DEFAULT now(),
  who text NOT NULL,
  role text NOT NULL,
  token_id text NOT NULL,
  peer text NOT NULL,
  method text NOT NULL,
  object text NOT NULL,
  outcome text NOT NULL
) WITH (fillfactor = 80);
