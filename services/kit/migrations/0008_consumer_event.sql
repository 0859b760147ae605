-- The event that a reader came to: where the other log has another one at that place, it was restored or made anew.
ALTER TABLE kit.consumer ADD COLUMN event uuid;
