// Products: a list and a point read.
package main

import (
	"strconv"

	"github.com/gin-gonic/gin"
	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
)

type product struct {
	ID          uuid.UUID `json:"id"`
	SKU         string    `json:"sku"`
	Name        string    `json:"name"`
	Description string    `json:"description"`
	PriceMinor  int64     `json:"price_minor"`
	Currency    string    `json:"currency"`
	Stock       int32     `json:"stock"`
}

const cols = "id, sku, name, description, price_minor, currency, stock"

func scan(r pgx.Row, p *product) error {
	return r.Scan(&p.ID, &p.SKU, &p.Name, &p.Description, &p.PriceMinor, &p.Currency, &p.Stock)
}

func catalogue(r *gin.Engine, pool *pgxpool.Pool) {
	r.GET("/products", func(c *gin.Context) {
		limit, err := strconv.Atoi(c.DefaultQuery("limit", "20"))
		if err != nil || limit < 1 || limit > 100 {
			c.JSON(422, gin.H{"error": "limit"})
			return
		}
		var rows pgx.Rows
		if a := c.Query("after"); a != "" {
			rows, err = pool.Query(c, "SELECT "+cols+" FROM products WHERE id > $2 ORDER BY id LIMIT $1", limit, a)
		} else {
			rows, err = pool.Query(c, "SELECT "+cols+" FROM products ORDER BY id LIMIT $1", limit)
		}
		if err != nil {
			c.JSON(500, gin.H{"error": err.Error()})
			return
		}
		items := make([]product, 0, limit)
		for rows.Next() {
			var p product
			if err := scan(rows, &p); err != nil {
				c.JSON(500, gin.H{"error": err.Error()})
				return
			}
			items = append(items, p)
		}
		var next *string
		if len(items) == limit {
			s := items[limit-1].ID.String()
			next = &s
		}
		c.JSON(200, gin.H{"items": items, "next": next})
	})
	r.GET("/products/:id", func(c *gin.Context) {
		id, err := uuid.Parse(c.Param("id"))
		if err != nil {
			c.JSON(422, gin.H{"error": "id"})
			return
		}
		var p product
		if err := scan(pool.QueryRow(c, "SELECT "+cols+" FROM products WHERE id = $1", id), &p); err != nil {
			c.JSON(404, gin.H{"error": "not found"})
			return
		}
		c.JSON(200, p)
	})
}
