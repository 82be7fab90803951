//! /admin/v1/templates: the templates from which profiles are personalised.

use http::StatusCode;
use profile::{
    Description, Package, SecretOctets,
    description::decompile,
    personalise::{Series, taken_from_template},
};
use rsp_server::{
    Namespace,
    api::{Arguments, Listing, NoId, NoQuery, Page},
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::{Context, Problem, ensured::Ensured, schema::Base64Text};
use crate::{
    records::{Octets, PROFILE_TYPES, TEMPLATES, Template},
    template,
};

/// The first ICCID of a template that has none, without its check digit: subscriber 100000 of the
/// network 724-99.
const FIRST_ICCID: &str = "8972499000000100000";
/// The first IMSI of a template that has none.
const FIRST_IMSI: &str = "724990000100000";

/// A template to store. Without a description or a package, its profiles have a USIM with Milenage
/// and generated keys.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct NewTemplate {
    /// The profile type under which operators order its profiles. Default: the profile type of the
    /// description or the package.
    pub profile_type: Option<String>,
    /// The description that all profiles share, see docs/profile.schema.json.
    #[schemars(with = "Option<Map<String, Value>>")]
    pub description: Option<Description>,
    /// A TCA profile package in DER, in place of a description. Its ICCID, IMSI, MSISDN, K and OPc
    /// are replaced.
    #[schemars(with = "Option<Base64Text>")]
    pub package: Option<Octets>,
    /// The ICCID of the first profile, without its check digit. The following profiles have
    /// consecutive numbers. Default: 8972499000000100000. No number is used twice.
    pub iccid: Option<String>,
    /// The IMSI of the first profile. Default: 724990000100000.
    pub imsi: Option<String>,
    /// The MSISDN of the first profile. Default: none.
    pub msisdn: Option<String>,
    /// True if all profiles have the K and OPc of the description or the package. Otherwise they
    /// are generated.
    pub same_keys: bool,
    /// The namespace whose orders can use the template. Default: all namespaces.
    pub namespace: Option<Namespace>,
}

/// A template, without its keys.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct TemplateView {
    profile_type: String,
    /// The ICCID of the first profile, without its check digit.
    iccid: String,
    /// The IMSI of the first profile.
    imsi: String,
    /// The MSISDN of the first profile.
    #[serde(skip_serializing_if = "Option::is_none")]
    msisdn: Option<String>,
    /// The namespace whose orders can use the template. Default: all namespaces.
    #[serde(skip_serializing_if = "Option::is_none")]
    namespace: Option<Namespace>,
}

/// GET /admin/v1/templates
pub(super) async fn list(
    context: &mut Context<'_, '_>,
    arguments: &Arguments<NoId, Listing<NoQuery>>,
) -> Result<Page<TemplateView>, Problem> {
    let select = |_: &str, template| Some(TemplateView::from(template));
    Ok(arguments.query.page(context.decision.tx, &TEMPLATES, select).await?)
}

/// POST /admin/v1/templates
pub(super) async fn add(
    context: &mut Context<'_, '_>,
    arguments: &Arguments<NoId, NoQuery, NewTemplate>,
) -> Result<TemplateView, Problem> {
    match arguments.body.ensure(context).await? {
        Ensured::Created(template) => Ok(template.into()),
        Ensured::Existing(Template { profile_type, .. }) => Err(Problem::conflict(
            format!("cannot store a template of type {profile_type:?}"),
            "the type has a template already",
            "use that template, choose another profileType, or DELETE the template first",
        )),
    }
}

/// GET /admin/v1/templates/{profileType}
pub(super) async fn show(
    context: &mut Context<'_, '_>,
    arguments: &Arguments<String>,
) -> Result<TemplateView, Problem> {
    template(context, &arguments.id).await.map(TemplateView::from)
}

/// DELETE /admin/v1/templates/{profileType}
pub(super) async fn remove(
    context: &mut Context<'_, '_>,
    arguments: &Arguments<String>,
) -> Result<(), Problem> {
    let template = template(context, &arguments.id).await?;
    context.decision.tx.delete(&TEMPLATES, &template.profile_type);
    Ok(())
}

async fn template(context: &mut Context<'_, '_>, profile_type: &str) -> Result<Template, Problem> {
    context.decision.tx.get(&TEMPLATES, profile_type).await?.ok_or_else(|| {
        Problem::not_found(
            format!("there is no template of type {profile_type:?}"),
            "this type has no template",
            "GET /admin/v1/templates lists the templates; POST /admin/v1/templates adds one",
        )
    })
}

impl NewTemplate {
    /// Stores the template unless its type has one.
    pub(super) async fn ensure(&self, context: &mut Context<'_, '_>) -> Result<Ensured<Template>, Problem> {
        let mut template = Template {
            profile_type: self.profile_type.clone().unwrap_or_default(),
            description: self.description()?,
            series: Series {
                iccid: self.iccid.clone().unwrap_or_else(|| FIRST_ICCID.to_owned()),
                imsi: self.imsi.clone().unwrap_or_else(|| FIRST_IMSI.to_owned()),
                msisdn: self.msisdn.clone(),
            },
            seed: SecretOctets::from(context.decision.world.random::<32>()),
            namespace: self.namespace.clone(),
        };
        if self.profile_type.is_none() {
            template.profile_type = self.default_type(&template.description);
        }
        if template.profile_type.is_empty() {
            return Err(refused("the profile type is empty", "set profileType"));
        }
        let first = template.series.row(0).map_err(|mistakes| {
            refused(mistakes.to_string(), "correct iccid, imsi and msisdn; they are decimal digits")
        })?;
        let shared = taken_from_template(&template.description, &first);
        if let Some(name) = shared.iter().find(|name| !(self.same_keys && ["ki", "opc"].contains(name))) {
            return Err(refused(
                format!("all profiles would have the same {name}"),
                "remove the value from the description; for ki and opc, you can set sameKeys",
            ));
        }
        let address = context.decision.config.server.address.as_str();
        template::make(address, &template, 0)
            .map_err(|fault| Problem::because(StatusCode::BAD_REQUEST, fault))?;
        let tx = &mut *context.decision.tx;
        if let Some(kept) = tx.get(&TEMPLATES, &template.profile_type).await? {
            return Ok(Ensured::Existing(kept));
        }
        if tx.get(&PROFILE_TYPES, &template.profile_type).await?.is_none() {
            tx.put(&PROFILE_TYPES, &template.profile_type, &())?;
        }
        tx.put(&TEMPLATES, &template.profile_type, &template)?;
        Ok(Ensured::Created(template))
    }

    fn default_type(&self, description: &Description) -> String {
        let of_package = || Package::decode(&self.package.as_ref()?.0).ok()?.header()?.profile_type.clone();
        let named = description.profile_type.clone().or_else(of_package);
        named.unwrap_or_else(|| "Landfall generic".to_owned())
    }

    fn description(&self) -> Result<Description, Problem> {
        let package = match (&self.description, &self.package) {
            (Some(_), Some(_)) => {
                return Err(refused("it has a description and a package", "set at most one of the two"));
            }
            (Some(description), None) => return Ok(description.clone()),
            (None, None) => return Ok(Description::default()),
            (None, Some(package)) => &package.0,
        };
        let next = "provide a TCA profile package in DER, or a description";
        let package = Package::decode(package)
            .map_err(|e| refused(format!("this is not a profile package: {e}"), next))?;
        let mut description = decompile(&package)
            .map_err(|why| refused(format!("the package cannot be described: {why}"), next))?
            .description;
        (description.iccid, description.imsi, description.msisdn) = (None, None, None);
        description.access_classes = None;
        if !self.same_keys {
            (description.authentication.ki, description.authentication.opc) = (None, None);
        }
        Ok(description)
    }
}

fn refused(why: impl Into<String>, next: &str) -> Problem {
    Problem::bad_request("cannot store the template", why, next)
}

impl From<Template> for TemplateView {
    fn from(template: Template) -> Self {
        let Series { iccid, imsi, msisdn } = template.series.clone();
        let Template { profile_type, namespace, .. } = template;
        Self { profile_type, iccid, imsi, msisdn, namespace }
    }
}
