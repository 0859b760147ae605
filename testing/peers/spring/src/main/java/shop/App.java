package shop;

import java.util.*;
import org.springframework.boot.SpringApplication;
import org.springframework.boot.autoconfigure.SpringBootApplication;
import org.springframework.http.*;
import org.springframework.jdbc.core.*;
import org.springframework.transaction.support.TransactionTemplate;
import org.springframework.web.bind.annotation.*;

/** Reference peer: Spring Boot + JDBC, the same small service as ../fastapi/app.py. */
@SpringBootApplication
@RestController
public class App {
  record Product(UUID id, String sku, String name, String description, long price_minor, String currency, int stock) {}
  record Page(List<Product> items, String next) {}
  record Line(UUID product_id, int quantity) {}
  record NewOrder(List<Line> lines) {}
  static final String COLS = "id, sku, name, description, price_minor, currency, stock";
  static final RowMapper<Product> ROW = (r, i) -> new Product(r.getObject(1, UUID.class), r.getString(2), r.getString(3), r.getString(4), r.getLong(5), r.getString(6), r.getInt(7));
  final JdbcTemplate db;
  final TransactionTemplate tx;

  App(JdbcTemplate db, TransactionTemplate tx) { this.db = db; this.tx = tx; }

  public static void main(String[] a) { SpringApplication.run(App.class, a); }

  @GetMapping("/healthz")
  Map<String, Boolean> healthz() { return Map.of("ok", true); }

  @GetMapping("/products")
  Page list(@RequestParam(defaultValue = "20") int limit) {
    var items = db.query("SELECT " + COLS + " FROM products ORDER BY id LIMIT ?", ROW, limit);
    return new Page(items, items.size() == limit ? items.get(limit - 1).id().toString() : null);
  }

  @GetMapping("/products/{id}")
  ResponseEntity<Product> get(@PathVariable UUID id) {
    return ResponseEntity.of(db.query("SELECT " + COLS + " FROM products WHERE id = ?", ROW, id).stream().findFirst());
  }

  @PostMapping("/orders")
  ResponseEntity<Map<String, Object>> order(@RequestHeader("Idempotency-Key") String key, @RequestBody NewOrder o) {
    UUID id = UUID.randomUUID();
    return tx.execute(t -> {
      int n = db.update("INSERT INTO orders(id, idem_key, status, total_minor, currency) VALUES(?, ?, 'pending', 0, 'USD') ON CONFLICT (idem_key) DO NOTHING", id, key);
      if (n == 0) return ResponseEntity.ok(db.queryForMap("SELECT id, status, total_minor, currency FROM orders WHERE idem_key = ?", key));
      long total = 0;
      var lines = new ArrayList<>(o.lines());
      lines.sort(Comparator.comparing(l -> l.product_id().toString()));
      for (var l : lines) {
        var p = db.queryForList("UPDATE products SET stock = stock - ? WHERE id = ? AND stock >= ? RETURNING price_minor", Long.class, l.quantity(), l.product_id(), l.quantity());
        if (p.isEmpty()) { t.setRollbackOnly(); return ResponseEntity.status(409).body(Map.<String, Object>of("error", "insufficient stock")); }
        total += p.get(0) * l.quantity();
        db.update("INSERT INTO order_lines(order_id, product_id, quantity, price_minor) VALUES(?,?,?,?)", id, l.product_id(), l.quantity(), p.get(0));
      }
      db.update("UPDATE orders SET total_minor = ? WHERE id = ?", total, id);
      db.update("INSERT INTO outbox(topic, payload) VALUES('order.created', ?::jsonb)", "{\"order_id\":\"" + id + "\"}");
      return ResponseEntity.status(201).body(Map.<String, Object>of("id", id, "status", "pending", "total_minor", total, "currency", "USD"));
    });
  }
}
