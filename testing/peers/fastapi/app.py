"""Reference peer: FastAPI + asyncpg + uvicorn. DATABASE_URL names the database (../schema.sql)."""
import asyncio
import hashlib
import os
import secrets
import time
import uuid
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from datetime import datetime

import asyncpg
import jwt
from argon2 import PasswordHasher, Type
from argon2.exceptions import VerifyMismatchError
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from fastapi import FastAPI, Header, HTTPException, Query, Response
from pydantic import BaseModel, Field

DSN = os.environ["DATABASE_URL"]
PH = PasswordHasher(time_cost=2, memory_cost=19456, parallelism=1, type=Type.ID)  # OWASP minimum profile
DUMMY = PH.hash("dummy-password-for-unknown-users")
KEY = Ed25519PrivateKey.generate()
# All workers together hash as many at once as there are cores: more would only take memory and time from each other.
HASHERS = ThreadPoolExecutor(max_workers=int(os.environ.get("HASH_THREADS", os.cpu_count())))


class Product(BaseModel):
    id: uuid.UUID
    sku: str
    name: str
    description: str
    price_minor: int
    currency: str
    stock: int


class Page(BaseModel):
    items: list[Product]
    next: str | None = None


class Account(BaseModel):
    id: uuid.UUID
    email: str
    email_verified: bool
    status: str
    roles: list[str]
    display_name: str
    phone: str | None
    locale: str
    two_factor: bool
    created_at: datetime
    updated_at: datetime


class Login(BaseModel):
    email: str
    password: str


class Line(BaseModel):
    product_id: uuid.UUID
    quantity: int = Field(ge=1, le=100)


class NewOrder(BaseModel):
    lines: list[Line] = Field(min_length=1, max_length=50)


@asynccontextmanager
async def lifespan(app: FastAPI):
    app.state.pool = await asyncpg.create_pool(DSN, min_size=4, max_size=10)
    yield
    await app.state.pool.close()


app = FastAPI(lifespan=lifespan)
COLS = "id, sku, name, description, price_minor, currency, stock"
ACCOUNT = "id, email, email_verified, status, roles, display_name, phone, locale, two_factor, created_at, updated_at"


@app.get("/healthz")
async def healthz():
    return {"ok": True}


@app.get("/products", response_model=Page)
async def products(limit: int = Query(20, ge=1, le=100), after: uuid.UUID | None = None):
    p = app.state.pool
    if after is None:
        rows = await p.fetch(f"SELECT {COLS} FROM products ORDER BY id LIMIT $1", limit)
    else:
        rows = await p.fetch(f"SELECT {COLS} FROM products WHERE id > $2 ORDER BY id LIMIT $1", limit, after)
    return {"items": [dict(r) for r in rows], "next": str(rows[-1]["id"]) if len(rows) == limit else None}


@app.get("/products/{pid}", response_model=Product)
async def product(pid: uuid.UUID):
    r = await app.state.pool.fetchrow(f"SELECT {COLS} FROM products WHERE id = $1", pid)
    if r is None:
        raise HTTPException(404)
    return dict(r)


@app.get("/users/{uid}", response_model=Account)
async def user(uid: uuid.UUID):
    r = await app.state.pool.fetchrow(f"SELECT {ACCOUNT} FROM users WHERE id = $1", uid)
    if r is None:
        raise HTTPException(404)
    return dict(r)


def _verify(h: str, pw: str) -> bool:
    try:
        return PH.verify(h, pw)
    except VerifyMismatchError:
        return False


@app.post("/login")
async def login(body: Login):
    p = app.state.pool
    u = await p.fetchrow("SELECT id, password_hash, roles FROM users WHERE email = $1", body.email.lower())
    ok = await asyncio.get_running_loop().run_in_executor(
        HASHERS, _verify, u["password_hash"] if u else DUMMY, body.password)
    if not (u and ok):
        raise HTTPException(401, "invalid credentials")
    now = int(time.time())
    access = jwt.encode({"sub": str(u["id"]), "roles": u["roles"], "iat": now, "exp": now + 900}, KEY, algorithm="EdDSA")
    refresh = secrets.token_urlsafe(32)
    await p.execute("INSERT INTO refresh_tokens(hash, user_id, family, expires_at) "
                    "VALUES($1, $2, gen_random_uuid(), now() + interval '30 days')",
                    hashlib.sha256(refresh.encode()).digest(), u["id"])
    return {"access_token": access, "refresh_token": refresh, "token_type": "Bearer", "expires_in": 900}


@app.post("/orders", status_code=201)
async def create_order(body: NewOrder, response: Response, idempotency_key: str = Header()):
    async with app.state.pool.acquire() as c, c.transaction():
        oid = uuid.uuid4()
        fresh = await c.fetchval("INSERT INTO orders(id, idem_key, status, total_minor, currency) "
                                 "VALUES($1, $2, 'pending', 0, 'USD') ON CONFLICT (idem_key) DO NOTHING RETURNING id",
                                 oid, idempotency_key)
        if fresh is None:
            r = await c.fetchrow("SELECT id, status, total_minor, currency FROM orders WHERE idem_key = $1", idempotency_key)
            response.status_code = 200
            return dict(r)
        total = 0
        for ln in sorted(body.lines, key=lambda x: x.product_id):       # fixed lock order: no deadlocks
            price = await c.fetchval("UPDATE products SET stock = stock - $2 WHERE id = $1 AND stock >= $2 "
                                     "RETURNING price_minor", ln.product_id, ln.quantity)
            if price is None:
                raise HTTPException(409, "insufficient stock")
            total += price * ln.quantity
            await c.execute("INSERT INTO order_lines(order_id, product_id, quantity, price_minor) VALUES($1,$2,$3,$4)",
                            oid, ln.product_id, ln.quantity, price)
        await c.execute("UPDATE orders SET total_minor = $2 WHERE id = $1", oid, total)
        await c.execute("INSERT INTO outbox(topic, payload) VALUES('order.created', $1)", f'{{"order_id":"{oid}"}}')
    return {"id": oid, "status": "pending", "total_minor": total, "currency": "USD"}
