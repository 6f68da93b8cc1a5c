-- The list of users, which skips deleted ones without reading them.
SET @statement = IF(
    (SELECT COUNT(*) FROM information_schema.statistics
     WHERE table_schema = DATABASE() AND table_name = 'users' AND index_name = 'users_living') = 0,
    'ALTER TABLE users ADD KEY users_living (deleted_at, name)',
    'DO 0'
);
PREPARE change_table FROM @statement;
EXECUTE change_table;
DEALLOCATE PREPARE change_table;
