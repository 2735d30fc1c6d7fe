-- What judges draw at random follows from an evaluation's seed and this secret: with small seeds
-- alone a candidate could draw the held-out data itself. One row; services with equal rows give
-- judges equal data.
CREATE TABLE judge_secret (
  is_only boolean PRIMARY KEY DEFAULT true CONSTRAINT judge_secret_is_only CHECK (is_only),
  value text NOT NULL CONSTRAINT judge_secret_is_long CHECK (length(value) >= 32)
);

-- 244 bits from the server's own generator.
INSERT INTO judge_secret (value)
  VALUES (replace(gen_random_uuid()::text || gen_random_uuid()::text, '-', ''));
