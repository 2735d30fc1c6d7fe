-- Who may call. The token itself is stored nowhere: only its SHA-256, from which nobody gets it
-- back, for it has 256 random bits. Its id is a part of it that is no secret.
CREATE TABLE access_token (
  id text PRIMARY KEY CONSTRAINT access_token_id CHECK (id ~ '^[0-9a-f]{16}$'),
  name text NOT NULL,
  role text NOT NULL CONSTRAINT access_token_role CHECK (role IN
    ('admin', 'user', 'worker', 'codegen', 'viewer')),
  sha256 text NOT NULL CONSTRAINT access_token_sha256 CHECK (sha256 ~ '^[0-9a-f]{64}$'),
  created_at timestamptz NOT NULL DEFAULT now(),
  expires_at timestamptz,
  last_used_at timestamptz,
  revoked_at timestamptz
) WITH (fillfactor = 70);

-- Name of the token that created it. Empty: no tokens were required then, and only administrators
-- act on it where they are now.
ALTER TABLE campaign ADD COLUMN owner text NOT NULL DEFAULT '';
