-- The one lobby. Its title is taken like any room's.
INSERT IGNORE INTO conversations
    (id, kind, is_listed, title, title_key, created_by, created_at, last_activity_at)
VALUES (1, 0, 1, 'Lobby', 'lobby', NULL, UTC_TIMESTAMP(3), UTC_TIMESTAMP(3));
