-- How much the score of one evaluation of the seed varies with its draws, where it is measured.
ALTER TABLE campaign ADD COLUMN noise_deviation double precision;
