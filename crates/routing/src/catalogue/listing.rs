//! The list of models as clients see it: the operator's names, then what chats, then the rest, each with short names
//! before the account's models; for an account that cannot be listed, the compiled-in models not past their end of
//! life.

use schema::openai::models::{Capabilities, Lifecycle, Model, Stage};
use translate::Profile;
use translate::profile::{ImageShape, Medium, Thinking};

use super::account::{AccountModels, FoundationModel};
use super::date::Day;
use super::id::{Id, Name};
use super::registry::Row;
use super::{Catalogue, ModelOverrides, NameOwner, Named, ResolvedModel, profiles};

/// Owner of models whose id does not name it.
const NOBODY: &str = "unknown";

impl Catalogue {
    /// Ids of rerankers, for suggestions.
    pub fn rerankers(&self) -> impl Iterator<Item = &str> {
        self.listed_with(|profile| profile.rerank.is_some())
    }

    /// Ids of models that make images from texts, for suggestions.
    pub fn image_makers(&self) -> impl Iterator<Item = &str> {
        let makes = [ImageShape::Text, ImageShape::TextOrImage];
        self.listed_with(move |profile| profile.image.is_some_and(|shape| makes.contains(&shape)))
    }

    fn listed_with(&self, is: impl Fn(&Profile) -> bool) -> impl Iterator<Item = &str> {
        let today = Day::today();
        let listed = self.0.registry.models().into_iter();
        listed
            .filter_map(move |(id, row)| (is(&row.profile) && !row.has_ended(today)).then_some(id))
    }
}

/// The complete model list.
pub(super) fn all(catalogue: &Catalogue, account: &AccountModels, own: &[Named<'_>]) -> Vec<Model> {
    let registry = &catalogue.0.registry;
    let mut models: Vec<Model> = own.iter().map(|one| named(account, one)).collect();
    let short = registry.aliases().map(|(name, _)| name);
    models.extend(short.filter(|name| !own.iter().any(|one| one.name == *name)).filter_map(
        |name| {
            let target = catalogue.resolve(name, &ModelOverrides::default());
            let can_be_called = resolves(account, &target);
            let one = Named { name, target, standing: NameOwner::Guessed };
            can_be_called.then(|| named(account, &one))
        },
    ));
    let rest =
        if account.is_empty() { compiled_in(catalogue) } else { offered(catalogue, account) };
    models.extend(rest.into_iter().filter(|one| !own.iter().any(|own| own.name == one.id)));
    // Pickers of clients show the list as it comes, and offer its first entry.
    models[own.len()..].sort_by_key(|model| !chats(model));
    models
}

fn chats(model: &Model) -> bool {
    model.capabilities.as_ref().is_some_and(|capabilities| capabilities.chat)
}

/// One model, if the name is known.
pub(super) fn one(account: &AccountModels, one: &Named<'_>) -> Option<Model> {
    let ResolvedModel { model_id, base, .. } = &one.target;
    let registry = one.target.registry();
    let listed = account.has_profile(model_id)
        || account.model(model_id).is_some()
        || account.arn_lookup(model_id).is_some()
        || base
            .as_deref()
            .is_some_and(|base| registry.listed(base).is_some() || account.model(base).is_some());
    (one.standing == NameOwner::Configured || listed).then(|| named(account, one))
}

/// A name defined by the gateway and its model.
fn named(account: &AccountModels, one: &Named<'_>) -> Model {
    let ResolvedModel { model_id, base, .. } = &one.target;
    let base = base.as_deref().or_else(|| account.arn_lookup(model_id));
    let stands_for = (model_id != one.name).then(|| model_id.clone());
    Model {
        stands_for,
        prices: one.target.listed_prices(base),
        ..entry(&one.target.catalogue, (one.name, base), None, account)
    }
}

/// Whether a short name leads to a model that can be called.
fn resolves(account: &AccountModels, target: &ResolvedModel) -> bool {
    let ResolvedModel { model_id, base, .. } = target;
    let row = base.as_deref().and_then(|base| target.registry().listed(base));
    if row.is_some_and(|row| row.has_ended(Day::today())) {
        return false;
    }
    match (&account.models, &account.profiles) {
        (None, None) => true,
        (models, profiles) => {
            models.is_some() && account.model(model_id).is_some()
                || profiles.is_some() && account.has_profile(model_id)
        }
    }
}

fn offered(catalogue: &Catalogue, account: &AccountModels) -> Vec<Model> {
    let models = account.models.iter().flatten().filter(|model| model.is_on_demand());
    let models = models
        .map(|model| entry(catalogue, (&model.model_id, Some(&model.model_id)), None, account));
    let profiles = account.profiles.iter().flatten().filter(|profile| profile.is_active());
    let profiles = profiles.map(|profile| {
        let id = if profile.is_application() { &profile.arn } else { &profile.id };
        let base = Name::parse(id).id.base().or_else(|| account.arn_lookup(&profile.arn));
        entry(catalogue, (id, base), profile.created.as_deref(), account)
    });
    models.chain(profiles).collect()
}

fn compiled_in(catalogue: &Catalogue) -> Vec<Model> {
    let (today, nothing) = (Day::today(), AccountModels::default());
    let alive = catalogue.0.registry.models().into_iter().filter(|(_, row)| !row.has_ended(today));
    alive
        .flat_map(|(id, row)| {
            let mut ids = profiles(row, id);
            if !row.profile_only {
                ids.insert(0, id.to_owned());
            }
            ids.into_iter().map(move |name| (name, id))
        })
        .map(|(name, base)| entry(catalogue, (&name, Some(base)), None, &nothing))
        .collect()
}

/// The facts about `id` and its model; the account's own data takes precedence over the catalogue.
fn entry(
    catalogue: &Catalogue,
    (id, base): (&str, Option<&str>),
    created: Option<&str>,
    account: &AccountModels,
) -> Model {
    let registry = &catalogue.0.registry;
    let row = base.and_then(|base| registry.listed(base));
    let live = base.and_then(|base| account.model(base));
    let started = created.or_else(|| live.and_then(FoundationModel::started));
    let lifecycle = lifecycle(row, live);
    Model {
        id: id.to_owned(),
        object: "model",
        created: started
            .and_then(Day::parse)
            .or_else(|| base.and_then(Day::of_id))
            .or_else(|| registry.dated())
            .map_or(0, i64::from),
        owned_by: owner(base, live),
        shutdown_date: lifecycle.end_of_life.clone(),
        capabilities: capabilities(row, live),
        context_length: row.and_then(|row| row.context),
        max_output_tokens: row.and_then(|row| row.max_output),
        lifecycle,
        prices: catalogue.listed_prices(id, base),
        stands_for: None,
    }
}

/// The maker: the first word of a foundation model's id.
fn owner(base: Option<&str>, live: Option<&FoundationModel>) -> String {
    let of_id = base.and_then(|base| match Name::parse(base).id {
        Id::Model(id) => id.split_once('.').map(|(maker, _)| maker.to_owned()),
        Id::Arn(_) | Id::Profile { .. } => None,
    });
    of_id
        .or_else(|| live.and_then(|live| live.provider_name.clone()))
        .unwrap_or_else(|| NOBODY.to_owned())
}

fn lifecycle(row: Option<&Row>, live: Option<&FoundationModel>) -> Lifecycle {
    let today = Day::today();
    let end = live.and_then(FoundationModel::ends).and_then(Day::parse);
    let end = end.or_else(|| row.and_then(|row| row.eol));
    let status = match (row, live) {
        (None, None) => Stage::Unknown,
        _ if end.is_some_and(|end| end <= today) => Stage::EndOfLife,
        (Some(row), None) if row.retired => Stage::EndOfLife,
        _ if end.is_some() || live.is_some_and(FoundationModel::is_legacy) => Stage::Legacy,
        _ => Stage::Active,
    };
    Lifecycle {
        status,
        end_of_life: end.map(|end| end.to_string()),
        successor: row.and_then(|row| row.successor.clone()),
    }
}

fn capabilities(row: Option<&Row>, live: Option<&FoundationModel>) -> Option<Capabilities> {
    if let Some(row) = row {
        let embeddings = row.profile.embedding.is_some();
        let (rerank, images) = (row.profile.rerank.is_some(), row.profile.image.is_some());
        let chat = row.profile.converse && !embeddings;
        let media = row.input.iter().copied().map(Medium::name);
        return Some(Capabilities {
            chat,
            embeddings,
            rerank,
            images,
            streaming: chat,
            tools: row.tools && chat,
            reasoning: chat && row.profile.thinking != Thinking::None,
            reasoning_efforts: if chat { row.profile.efforts_offered() } else { Vec::new() },
            input_modalities: ["text"].into_iter().chain(media).map(ToOwned::to_owned).collect(),
            output_modalities: vec![answers_with(&row.profile).to_owned()],
        });
    }
    let live = live?;
    let lower = |names: &[String]| names.iter().map(|name| name.to_ascii_lowercase()).collect();
    let (input_modalities, output_modalities): (Vec<_>, Vec<_>) =
        (lower(&live.input_modalities), lower(&live.output_modalities));
    let writes = output_modalities.iter().any(|name| name == "text");
    Some(Capabilities {
        chat: writes,
        // The body format of an undescribed model of another kind is unknown.
        embeddings: false,
        rerank: false,
        images: false,
        streaming: live.response_streaming_supported == Some(true),
        tools: writes,
        // Of a model that is not described this is not known.
        reasoning: false,
        reasoning_efforts: Vec::new(),
        input_modalities,
        output_modalities,
    })
}

/// The medium of a model's answers.
fn answers_with(profile: &Profile) -> &'static str {
    match (profile.embedding, profile.rerank, profile.image) {
        (Some(_), _, _) => "embedding",
        (None, Some(_), _) => "score",
        (None, None, Some(_)) => "image",
        (None, None, None) => "text",
    }
}
