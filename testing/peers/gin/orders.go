// Orders: one transaction, idempotent by key, with an outbox row.
package main

import (
	"fmt"
	"net/http"
	"sort"

	"github.com/gin-gonic/gin"
	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
)

func orders(r *gin.Engine, pool *pgxpool.Pool) {
	type line struct {
		ProductID uuid.UUID `json:"product_id" binding:"required"`
		Quantity  int32     `json:"quantity" binding:"min=1,max=100"`
	}
	r.POST("/orders", func(c *gin.Context) {
		key := c.GetHeader("Idempotency-Key")
		var b struct {
			Lines []line `json:"lines" binding:"required,min=1,max=50,dive"`
		}
		if err := c.ShouldBindJSON(&b); err != nil || key == "" {
			c.JSON(422, gin.H{"error": "body or key"})
			return
		}
		sort.Slice(b.Lines, func(i, j int) bool { return b.Lines[i].ProductID.String() < b.Lines[j].ProductID.String() })
		id := uuid.New()
		status := http.StatusCreated
		var total int64
		short := false
		err := pgx.BeginFunc(c, pool, func(tx pgx.Tx) error {
			var fresh uuid.UUID
			e := tx.QueryRow(c, "INSERT INTO orders(id, idem_key, status, total_minor, currency) VALUES($1, $2, 'pending', 0, 'USD') ON CONFLICT (idem_key) DO NOTHING RETURNING id", id, key).Scan(&fresh)
			if e == pgx.ErrNoRows {
				status = 200
				return tx.QueryRow(c, "SELECT id, total_minor FROM orders WHERE idem_key = $1", key).Scan(&id, &total)
			} else if e != nil {
				return e
			}
			for _, l := range b.Lines {
				var price int64
				if e := tx.QueryRow(c, "UPDATE products SET stock = stock - $2 WHERE id = $1 AND stock >= $2 RETURNING price_minor", l.ProductID, l.Quantity).Scan(&price); e != nil {
					short = e == pgx.ErrNoRows
					return e
				}
				total += price * int64(l.Quantity)
				if _, e := tx.Exec(c, "INSERT INTO order_lines(order_id, product_id, quantity, price_minor) VALUES($1,$2,$3,$4)", id, l.ProductID, l.Quantity, price); e != nil {
					return e
				}
			}
			if _, e := tx.Exec(c, "UPDATE orders SET total_minor = $2 WHERE id = $1", id, total); e != nil {
				return e
			}
			_, e = tx.Exec(c, "INSERT INTO outbox(topic, payload) VALUES('order.created', $1)", fmt.Sprintf(`{"order_id":"%s"}`, id))
			return e
		})
		switch {
		case short:
			c.JSON(409, gin.H{"error": "insufficient stock"})
		case err != nil:
			c.JSON(500, gin.H{"error": err.Error()})
		default:
			c.JSON(status, gin.H{"id": id, "status": "pending", "total_minor": total, "currency": "USD"})
		}
	})
}
