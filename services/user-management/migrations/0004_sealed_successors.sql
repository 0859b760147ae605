-- A successor is sealed under its predecessor for the seconds of grace alone: it goes when it is used itself, or when a
-- worker finds the grace over. Those that are left are few, and are found by this.
CREATE INDEX refresh_tokens_sealed ON refresh_tokens (session_id) WHERE successor IS NOT NULL;
