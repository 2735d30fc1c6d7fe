-- The event of the user's last wish to stop. Until it is applied, nothing of the campaign is given
-- out: what had begun when the wish was noted is then exactly what is finished.
ALTER TABLE campaign ADD COLUMN stop_sequence bigint NOT NULL DEFAULT 0;
