package shop;

import java.nio.charset.StandardCharsets;
import java.security.*;
import java.time.Instant;
import java.time.OffsetDateTime;
import java.util.*;
import java.util.concurrent.Semaphore;
import org.springframework.http.ResponseEntity;
import org.springframework.jdbc.core.*;
import org.springframework.security.crypto.argon2.Argon2PasswordEncoder;
import org.springframework.web.bind.annotation.*;

/** Accounts: the point read and the log-in, the same work as ../fastapi/app.py. */
@RestController
public class Users {
  record Account(UUID id, String email, boolean email_verified, String status, List<String> roles, String display_name, String phone, String locale, boolean two_factor, OffsetDateTime created_at, OffsetDateTime updated_at) {}
  record Login(String email, String password) {}
  record Stored(UUID id, String hash, String role) {}
  static final String COLS = "id, email, email_verified, status, roles, display_name, phone, locale, two_factor, created_at, updated_at";
  static final RowMapper<Account> ROW = (r, i) -> new Account(r.getObject(1, UUID.class), r.getString(2), r.getBoolean(3), r.getString(4), List.of((String[]) r.getArray(5).getArray()), r.getString(6), r.getString(7), r.getString(8), r.getBoolean(9), r.getObject(10, OffsetDateTime.class), r.getObject(11, OffsetDateTime.class));
  static final RowMapper<Stored> STORED = (r, i) -> new Stored(r.getObject(1, UUID.class), r.getString(2), r.getString(3));
  final JdbcTemplate db;
  // Verifying takes the parameters of the stored hash; these are for new ones.
  final Argon2PasswordEncoder argon2 = new Argon2PasswordEncoder(16, 32, 1, 19456, 2);
  // As many hashes at once as there are cores: more would only take memory.
  final Semaphore hashers = new Semaphore(Runtime.getRuntime().availableProcessors());
  final PrivateKey key;
  final SecureRandom random = new SecureRandom();

  Users(JdbcTemplate db) throws GeneralSecurityException {
    this.db = db;
    this.key = KeyPairGenerator.getInstance("Ed25519").generateKeyPair().getPrivate();
  }

  @GetMapping("/users/{id}")
  ResponseEntity<Account> get(@PathVariable UUID id) {
    return ResponseEntity.of(db.query("SELECT " + COLS + " FROM users WHERE id = ?", ROW, id).stream().findFirst());
  }

  @PostMapping("/login")
  ResponseEntity<Map<String, Object>> login(@RequestBody Login body) throws Exception {
    var found = db.query("SELECT id, password_hash, roles[1] FROM users WHERE email = ?", STORED, body.email().toLowerCase(Locale.ROOT)).stream().findFirst();
    if (found.isEmpty() || !matches(body.password(), found.get().hash())) return ResponseEntity.status(401).body(Map.<String, Object>of("error", "invalid credentials"));
    var raw = new byte[32];
    random.nextBytes(raw);
    var refresh = base64(raw);
    var digest = MessageDigest.getInstance("SHA-256").digest(refresh.getBytes(StandardCharsets.US_ASCII));
    db.update("INSERT INTO refresh_tokens(hash, user_id, family, expires_at) VALUES(?, ?, gen_random_uuid(), now() + interval '30 days')", digest, found.get().id());
    return ResponseEntity.ok(Map.<String, Object>of("access_token", token(found.get()), "refresh_token", refresh, "token_type", "Bearer", "expires_in", 900));
  }

  boolean matches(String password, String hash) throws InterruptedException {
    hashers.acquire();
    try {
      return argon2.matches(password, hash);
    } finally {
      hashers.release();
    }
  }

  String token(Stored user) throws GeneralSecurityException {
    long now = Instant.now().getEpochSecond();
    var claims = "{\"sub\":\"%s\",\"roles\":[\"%s\"],\"iat\":%d,\"exp\":%d}".formatted(user.id(), user.role(), now, now + 900);
    var signed = base64("{\"typ\":\"JWT\",\"alg\":\"EdDSA\"}".getBytes()) + "." + base64(claims.getBytes());
    var signature = Signature.getInstance("Ed25519");
    signature.initSign(key);
    signature.update(signed.getBytes());
    return signed + "." + base64(signature.sign());
  }

  static String base64(byte[] bytes) {
    return Base64.getUrlEncoder().withoutPadding().encodeToString(bytes);
  }
}
