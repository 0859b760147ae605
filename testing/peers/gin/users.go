// Accounts: the point read and the log-in, the same work as ../fastapi/app.py.
package main

import (
	"crypto/ed25519"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"fmt"
	"runtime"
	"strings"
	"time"

	"github.com/gin-gonic/gin"
	"github.com/golang-jwt/jwt/v5"
	"github.com/google/uuid"
	"github.com/jackc/pgx/v5/pgxpool"
	"golang.org/x/crypto/argon2"
)

type account struct {
	ID            uuid.UUID `json:"id"`
	Email         string    `json:"email"`
	EmailVerified bool      `json:"email_verified"`
	Status        string    `json:"status"`
	Roles         []string  `json:"roles"`
	DisplayName   string    `json:"display_name"`
	Phone         *string   `json:"phone"`
	Locale        string    `json:"locale"`
	TwoFactor     bool      `json:"two_factor"`
	CreatedAt     time.Time `json:"created_at"`
	UpdatedAt     time.Time `json:"updated_at"`
}

const accountByID = "SELECT id, email, email_verified, status, roles, display_name, phone, locale, two_factor, created_at, updated_at FROM users WHERE id = $1"

// As many hashes at once as there are cores: more would only take memory.
var hashers = make(chan struct{}, runtime.NumCPU())

func verify(encoded, password string) bool {
	part := strings.Split(encoded, "$")
	var memory, passes uint32
	var lanes uint8
	fmt.Sscanf(part[3], "m=%d,t=%d,p=%d", &memory, &passes, &lanes)
	salt, _ := base64.RawStdEncoding.DecodeString(part[4])
	want, _ := base64.RawStdEncoding.DecodeString(part[5])
	hashers <- struct{}{}
	got := argon2.IDKey([]byte(password), salt, passes, memory, lanes, uint32(len(want)))
	<-hashers
	return subtle.ConstantTimeCompare(got, want) == 1
}

func users(r *gin.Engine, pool *pgxpool.Pool) {
	_, key, _ := ed25519.GenerateKey(rand.Reader)

	r.GET("/users/:id", func(c *gin.Context) {
		id, err := uuid.Parse(c.Param("id"))
		if err != nil {
			c.JSON(422, gin.H{"error": "id"})
			return
		}
		var a account
		row := pool.QueryRow(c, accountByID, id)
		if row.Scan(&a.ID, &a.Email, &a.EmailVerified, &a.Status, &a.Roles, &a.DisplayName, &a.Phone, &a.Locale, &a.TwoFactor, &a.CreatedAt, &a.UpdatedAt) != nil {
			c.JSON(404, gin.H{"error": "not found"})
			return
		}
		c.JSON(200, a)
	})

	r.POST("/login", func(c *gin.Context) {
		var b struct {
			Email    string `json:"email" binding:"required"`
			Password string `json:"password" binding:"required"`
		}
		if err := c.ShouldBindJSON(&b); err != nil {
			c.JSON(422, gin.H{"error": err.Error()})
			return
		}
		var id uuid.UUID
		var hash string
		var roles []string
		row := pool.QueryRow(c, "SELECT id, password_hash, roles FROM users WHERE email = $1", strings.ToLower(b.Email))
		if err := row.Scan(&id, &hash, &roles); err != nil || !verify(hash, b.Password) {
			c.JSON(401, gin.H{"error": "invalid credentials"})
			return
		}
		now := time.Now()
		claims := jwt.MapClaims{"sub": id, "roles": roles, "iat": now.Unix(), "exp": now.Add(15 * time.Minute).Unix()}
		access, _ := jwt.NewWithClaims(jwt.SigningMethodEdDSA, claims).SignedString(key)
		raw := make([]byte, 32)
		rand.Read(raw)
		refresh := base64.RawURLEncoding.EncodeToString(raw)
		digest := sha256.Sum256([]byte(refresh))
		if _, err := pool.Exec(c, "INSERT INTO refresh_tokens(hash, user_id, family, expires_at) VALUES($1, $2, gen_random_uuid(), now() + interval '30 days')", digest[:], id); err != nil {
			c.JSON(500, gin.H{"error": err.Error()})
			return
		}
		c.JSON(200, gin.H{"access_token": access, "refresh_token": refresh, "token_type": "Bearer", "expires_in": 900})
	})
}
