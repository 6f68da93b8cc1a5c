-- From a user to their directs.
SET @statement = IF(
    (SELECT COUNT(*) FROM information_schema.statistics
     WHERE table_schema = DATABASE() AND table_name = 'direct_members'
       AND index_name = 'direct_members_user') = 0,
    'ALTER TABLE direct_members ADD KEY direct_members_user (user_id, conversation_id)',
    'DO 0'
);
PREPARE change_table FROM @statement;
EXECUTE change_table;
DEALLOCATE PREPARE change_table;
