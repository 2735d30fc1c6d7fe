// Its precompiled header is what this target is for.
