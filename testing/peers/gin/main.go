// Reference peer: Gin + pgx. DATABASE_URL names the database (../schema.sql), PORT the port on 127.0.0.1.
package main

import (
	"context"
	"os"

	"github.com/gin-gonic/gin"
	"github.com/jackc/pgx/v5/pgxpool"
)

func main() {
	config, err := pgxpool.ParseConfig(os.Getenv("DATABASE_URL"))
	if err != nil {
		panic(err)
	}
	config.MinConns, config.MaxConns = 4, 10
	pool, err := pgxpool.NewWithConfig(context.Background(), config)
	if err != nil {
		panic(err)
	}
	gin.SetMode(gin.ReleaseMode)
	r := gin.New()
	r.Use(gin.Recovery())
	r.GET("/healthz", func(c *gin.Context) { c.JSON(200, gin.H{"ok": true}) })
	catalogue(r, pool)
	users(r, pool)
	orders(r, pool)
	panic(r.Run("127.0.0.1:" + os.Getenv("PORT")))
}
