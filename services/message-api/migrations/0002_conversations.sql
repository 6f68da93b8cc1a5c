-- The lobby, the rooms and the directs. `head` is the newest seq: whoever raises it holds the row
-- until commit, which is what orders the changes of a conversation.
CREATE TABLE IF NOT EXISTS conversations (
    id               BIGINT UNSIGNED NOT NULL,
    kind             TINYINT UNSIGNED NOT NULL COMMENT '0 lobby, 1 room, 2 direct',
    is_listed        TINYINT UNSIGNED NOT NULL COMMENT '1 for the lobby and rooms',
    title            VARCHAR(80) NOT NULL,
    title_key        VARBINARY(640) NULL COMMENT 'lower case, unique; NULL for directs',
    created_by       VARCHAR(32) CHARACTER SET ascii COLLATE ascii_general_ci NULL,
    created_at       DATETIME(3) NOT NULL,
    head             BIGINT UNSIGNED NOT NULL DEFAULT 0,
    message_count    BIGINT UNSIGNED NOT NULL DEFAULT 0 COMMENT 'deleted ones not counted',
    last_activity_at DATETIME(3) NOT NULL,
    PRIMARY KEY (id),
    UNIQUE KEY conversations_title (title_key),
    KEY conversations_activity (is_listed, last_activity_at, id)
) ENGINE = InnoDB DEFAULT CHARSET = utf8mb4 COLLATE = utf8mb4_bin;
