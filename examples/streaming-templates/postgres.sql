CREATE TABLE readings (id bigint PRIMARY KEY, sensor text NOT NULL, celsius double precision NOT NULL);
CREATE TABLE events (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, kind text NOT NULL, text text NOT NULL);
CREATE TABLE users (id bigint PRIMARY KEY, name text NOT NULL, country text NOT NULL, active boolean NOT NULL);
CREATE TABLE points (id bigint PRIMARY KEY, x double precision NOT NULL, y double precision NOT NULL);

CREATE FUNCTION notify_events() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  NOTIFY events;
  RETURN NULL;
END $$;
CREATE TRIGGER notify_events AFTER INSERT ON events FOR EACH STATEMENT EXECUTE FUNCTION notify_events();

INSERT INTO readings SELECT n, 'sensor-' || n % 7, 20 + (n % 50) / 10.0 FROM generate_series(1, 5000) n;
INSERT INTO events (kind, text) SELECT 'started', 'event ' || n FROM generate_series(1, 3) n;
INSERT INTO users SELECT n, 'user ' || n, (ARRAY['de', 'fr', 'jp'])[n % 3 + 1], n % 2 = 1 FROM generate_series(1, 1000) n;
INSERT INTO points SELECT n, n / 2.0, n * n % 1000 FROM generate_series(1, 20000) n;
