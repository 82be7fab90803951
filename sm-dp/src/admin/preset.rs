//! Preset contents of a server: profiles, templates, orders and operators as in the API, created unless they
//! exist. They belong to the default namespace.

use world::{BoxFuture, Fault};

use rsp_server::{Namespace, api::Call};

use super::{AdminApi, Context, Problem};
pub use super::{
    ensured::Ensured, operators::NewOperator, orders::NewOrder, stock::NewProfile, templates::NewTemplate,
};
use crate::{
    SmDpPlus,
    records::{Operator, Profile, ProfileRecord, Template},
};

impl SmDpPlus {
    /// Adds a profile to the stock unless its ICCID is already there.
    ///
    /// # Errors
    /// Fails if the package is invalid or the records fail.
    pub async fn ensure_profile(&self, new: &NewProfile) -> Result<Ensured<ProfileRecord>, Fault> {
        Ok(self.ensure::<Profile>(new).await?.map(Into::into))
    }

    /// Stores a template unless its profile type has one.
    ///
    /// # Errors
    /// Fails if no profile can be made from the template, or if the records fail.
    pub async fn ensure_template(&self, new: &NewTemplate) -> Result<Ensured<Template>, Fault> {
        self.ensure(new).await
    }

    /// Places an order unless it exists. Returns its profile.
    ///
    /// # Errors
    /// Fails if the order is contradictory, if it conflicts with existing records, or if the
    /// records fail.
    pub async fn ensure_order(&self, new: &NewOrder) -> Result<Ensured<ProfileRecord>, Fault> {
        Ok(self.ensure::<Profile>(new).await?.map(Into::into))
    }

    /// Registers an operator unless its identifier is registered.
    ///
    /// # Errors
    /// Fails if the records fail.
    pub async fn ensure_operator(&self, new: &NewOperator) -> Result<Ensured<Operator>, Fault> {
        self.ensure(new).await
    }

    async fn ensure<T>(&self, new: &dyn Call<AdminApi, Ensured<T>>) -> Result<Ensured<T>, Fault> {
        self.decide(&Namespace::default(), false, new).await.map_err(Fault::from)
    }
}

macro_rules! ensured {
    ($($new:ty => $made:ty),+) => { $(
        impl Call<AdminApi, Ensured<$made>> for $new {
            fn execute<'a>(
                &'a self,
                context: &'a mut Context<'_, '_>,
            ) -> BoxFuture<'a, Result<Ensured<$made>, Problem>> {
                Box::pin(self.ensure(context))
            }
        }
    )+ };
}

ensured!(NewProfile => Profile, NewTemplate => Template, NewOrder => Profile, NewOperator => Operator);
