CREATE TABLE orders (
  id        bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  region    text NOT NULL,
  amount    numeric(12, 2) NOT NULL,
  paid      boolean NOT NULL DEFAULT false,
  placed_at timestamptz NOT NULL DEFAULT now()
);

CREATE FUNCTION notify_orders() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  NOTIFY orders;
  RETURN NULL;
END $$;
CREATE TRIGGER notify_orders AFTER INSERT ON orders FOR EACH STATEMENT EXECUTE FUNCTION notify_orders();

INSERT INTO orders (region, amount, paid)
SELECT (ARRAY['north', 'south', 'west'])[n % 3 + 1], n * 1.5, n % 2 = 1 FROM generate_series(1, 1000) n;
