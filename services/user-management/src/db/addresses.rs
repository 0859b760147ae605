//! Every query of a user's addresses. Who writes holds the account first (`SignedIn::hold`): the bound on their number, the single default
//! and the version that was compared hold however many requests come at once.

use shop_api::ids::{AddressId, UserId};
use shop_api::users::profile::{Address, AddressInput};
use sqlx::{PgConnection, PgExecutor};
use time::OffsetDateTime;
use uuid::Uuid;

/// How many addresses a user may keep.
pub const MOST: i64 = 50;

struct Row {
    id: Uuid,
    label: String,
    recipient: String,
    line1: String,
    line2: String,
    city: String,
    region: String,
    postal_code: String,
    country: String,
    phone: Option<String>,
    is_default: bool,
    version: i64,
    created_at: OffsetDateTime,
    updated_at: OffsetDateTime,
}

impl Row {
    fn address(self) -> sqlx::Result<(Address, i64)> {
        let country = self.country.parse().map_err(|error| sqlx::Error::Decode(Box::new(error)))?;
        let address = Address {
            id: self.id.into(),
            label: self.label,
            recipient: self.recipient,
            line1: self.line1,
            line2: self.line2,
            city: self.city,
            region: self.region,
            postal_code: self.postal_code,
            country,
            phone: self.phone,
            is_default: self.is_default,
            created_at: self.created_at,
            updated_at: self.updated_at,
        };
        Ok((address, self.version))
    }
}

/// All of them, oldest first.
pub async fn list(db: impl PgExecutor<'_>, user: UserId) -> sqlx::Result<Vec<Address>> {
    let rows = sqlx::query_as!(
        Row,
        "SELECT id, label, recipient, line1, line2, city, region, postal_code, country, phone, is_default, version,
                created_at, updated_at
         FROM addresses WHERE user_id = $1 ORDER BY id",
        user.uuid()
    )
    .fetch_all(db)
    .await?;
    rows.into_iter().map(|row| row.address().map(|(address, _)| address)).collect()
}

/// One of them and its version; none when it is somebody else's.
pub async fn get(
    db: impl PgExecutor<'_>,
    user: UserId,
    id: AddressId,
) -> sqlx::Result<Option<(Address, i64)>> {
    sqlx::query_as!(
        Row,
        "SELECT id, label, recipient, line1, line2, city, region, postal_code, country, phone, is_default, version,
                created_at, updated_at
         FROM addresses WHERE id = $1 AND user_id = $2",
        id.uuid(),
        user.uuid()
    )
    .fetch_optional(db)
    .await?
    .map(Row::address)
    .transpose()
}

/// Saves a new one; `None` when the user has [`MOST`] already. The first is the default. As everything that writes
/// here: whoever calls it holds the account.
pub async fn insert(
    tx: &mut PgConnection,
    user: UserId,
    new: &AddressInput,
) -> sqlx::Result<Option<(Address, i64)>> {
    let held =
        sqlx::query_scalar!(r#"SELECT count(*) AS "n!" FROM addresses WHERE user_id = $1"#, user.uuid())
            .fetch_one(&mut *tx)
            .await?;
    if held >= MOST {
        return Ok(None);
    }
    let is_default = new.is_default || held == 0;
    if is_default {
        take_default_from_others(tx, user, None).await?;
    }
    sqlx::query_as!(
        Row,
        "INSERT INTO addresses (id, user_id, label, recipient, line1, line2, city, region, postal_code, country,
                                phone, is_default)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)
         RETURNING id, label, recipient, line1, line2, city, region, postal_code, country, phone, is_default, version,
                   created_at, updated_at",
        AddressId::new().uuid(),
        user.uuid(),
        new.label,
        new.recipient,
        new.line1,
        new.line2,
        new.city,
        new.region,
        new.postal_code,
        new.country.as_str(),
        new.phone.as_deref(),
        is_default
    )
    .fetch_one(&mut *tx)
    .await?
    .address()
    .map(Some)
}

/// Writes all fields anew. The default stays the default until another is made it, so that there is always one.
pub async fn replace(
    tx: &mut PgConnection,
    user: UserId,
    id: AddressId,
    new: &AddressInput,
) -> sqlx::Result<(Address, i64)> {
    if new.is_default {
        take_default_from_others(tx, user, Some(id)).await?;
    }
    sqlx::query_as!(
        Row,
        "UPDATE addresses SET label = $3, recipient = $4, line1 = $5, line2 = $6, city = $7, region = $8,
                postal_code = $9, country = $10, phone = $11, is_default = is_default OR $12,
                version = version + 1, updated_at = now()
         WHERE id = $1 AND user_id = $2
         RETURNING id, label, recipient, line1, line2, city, region, postal_code, country, phone, is_default, version,
                   created_at, updated_at",
        id.uuid(),
        user.uuid(),
        new.label,
        new.recipient,
        new.line1,
        new.line2,
        new.city,
        new.region,
        new.postal_code,
        new.country.as_str(),
        new.phone.as_deref(),
        new.is_default
    )
    .fetch_one(&mut *tx)
    .await?
    .address()
}

/// Removes one. When it was the default, the oldest left becomes it.
pub async fn delete(tx: &mut PgConnection, user: UserId, id: AddressId) -> sqlx::Result<()> {
    let was_default = sqlx::query_scalar!(
        "DELETE FROM addresses WHERE id = $1 AND user_id = $2 RETURNING is_default",
        id.uuid(),
        user.uuid()
    )
    .fetch_optional(&mut *tx)
    .await?;
    if was_default == Some(true) {
        sqlx::query!(
            "UPDATE addresses SET is_default = true, version = version + 1, updated_at = now()
             WHERE id = (SELECT id FROM addresses WHERE user_id = $1 ORDER BY id LIMIT 1)",
            user.uuid()
        )
        .execute(&mut *tx)
        .await?;
    }
    Ok(())
}

async fn take_default_from_others(
    tx: &mut PgConnection,
    user: UserId,
    except: Option<AddressId>,
) -> sqlx::Result<()> {
    sqlx::query!(
        "UPDATE addresses SET is_default = false, version = version + 1, updated_at = now()
         WHERE user_id = $1 AND is_default AND id IS DISTINCT FROM $2",
        user.uuid(),
        except.map(|id| id.uuid())
    )
    .execute(tx)
    .await?;
    Ok(())
}
