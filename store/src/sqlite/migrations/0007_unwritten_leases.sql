-- The last event up to which every delivery has its row in pending, or is over. What
-- was recorded since may lack rows for deliveries whose first attempt is under way.
INSERT INTO marks (name, value) SELECT 'written', ifnull(max(key), 0) FROM events;
