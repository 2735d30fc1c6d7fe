-- Rows that are written often stay cheap to look at, also while an old transaction keeps VACUUM
-- from removing their dead versions: a look at such a row walks all of them.

-- Whole tables, in the order in which reports and steps take rows of them. Nobody waits for long
-- behind a step that waits for somebody who holds one of them: it is tried again.
SET LOCAL lock_timeout = '3s';
LOCK TABLE campaign, work_item, proposal, variant, evaluation, event, model_call, result, rung
  IN ACCESS EXCLUSIVE MODE;

-- The campaign's row has its counters beside its definition. With the long values in the TOAST
-- table, where an update leaves them, many more versions fit into a page.
ALTER TABLE campaign SET (toast_tuple_target = 128);
-- Every row was checked against its campaign: a walk over all of those versions for each. Whoever
-- writes rows of a campaign holds that row, or one of its items that is leased, which tells more
-- than the check; a deletion removes them before the campaign, the items first.
ALTER TABLE event DROP CONSTRAINT event_campaign_id_fkey;
ALTER TABLE variant DROP CONSTRAINT variant_campaign_id_fkey;
ALTER TABLE proposal DROP CONSTRAINT proposal_campaign_id_fkey;
ALTER TABLE work_item DROP CONSTRAINT work_item_campaign_id_fkey;
ALTER TABLE model_call DROP CONSTRAINT model_call_campaign_id_fkey;
-- Checks by two columns are planned for the values at hand. Of a campaign that has grown since its
-- table was analysed the planner knows no rows, and then may walk all of them for each check.
ALTER TABLE evaluation DROP CONSTRAINT evaluation_campaign_id_variant_fkey;
ALTER TABLE result DROP CONSTRAINT result_campaign_id_number_fkey;
ALTER TABLE rung DROP CONSTRAINT rung_campaign_id_number_fkey;
-- A call renews many leases that lie together: as many new versions as rows must fit beside them.
ALTER TABLE work_item SET (fillfactor = 50);
