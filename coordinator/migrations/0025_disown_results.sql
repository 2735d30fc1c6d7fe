-- Part of every key that results are found again by: with another value no earlier result is found,
-- nor one that is being made. One row.
CREATE TABLE result_salt (
  is_only boolean PRIMARY KEY DEFAULT true CONSTRAINT result_salt_is_only CHECK (is_only),
  value bigint NOT NULL DEFAULT 1
);
INSERT INTO result_salt DEFAULT VALUES;
