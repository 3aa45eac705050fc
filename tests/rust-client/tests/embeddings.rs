//! Embeddings and models with async-openai, which does not unpack base64 by itself.

use async_openai::types::embeddings::{CreateEmbeddingRequest, EmbeddingInput, EncodingFormat};
use rust_client::{gateway::Gateway, invented::Invention};

const MODELS: [&str; 2] = ["amazon.titan-embed-text-v2:0", "cohere.embed-multilingual-v3"];

fn embedding(model: &str, input: impl Into<EmbeddingInput>) -> CreateEmbeddingRequest {
    CreateEmbeddingRequest { model: model.to_owned(), input: input.into(), ..Default::default() }
}

#[tokio::test]
async fn a_list_keeps_its_order() {
    let (gateway, mut invention) = (Gateway::start(), Invention::of("list"));
    let embeddings = gateway.client();
    let embeddings = embeddings.embeddings();
    for model in MODELS {
        let texts: Vec<String> = (0..120).map(|_| invention.word()).collect();
        let all = embeddings.create(embedding(model, texts.clone())).await.unwrap();
        assert_eq!(all.data.len(), texts.len());
        assert!(all.usage.prompt_tokens > 0);
        for index in [0, 60, 119] {
            let one = embeddings.create(embedding(model, texts[index].clone())).await.unwrap();
            assert_eq!(one.data[0].embedding, all.data[index].embedding, "{model}, text {index}");
        }
    }
}

#[tokio::test]
async fn base64_is_the_floats_in_little_endian() {
    let (gateway, mut invention) = (Gateway::start(), Invention::of("base64"));
    let client = gateway.client();
    for model in MODELS {
        let mut request = embedding(model, invention.word());
        let plain = client.embeddings().create(request.clone()).await.unwrap();
        request.encoding_format = Some(EncodingFormat::Base64);
        let packed = client.embeddings().create_base64(request).await.unwrap();
        let floats: Vec<f32> = packed.data[0].embedding.clone().into();
        assert_eq!(floats, plain.data[0].embedding);
    }
}

#[tokio::test]
async fn models_are_listed_and_found() {
    let gateway = Gateway::start();
    let client = gateway.client();
    let listed = client.models().list().await.unwrap().data;
    assert!(listed.len() > 10, "{} models", listed.len());
    let found = client.models().retrieve(&listed[0].id).await.unwrap();
    assert_eq!(found.id, listed[0].id);
    assert!(client.models().retrieve("no.such-model-v9:0").await.is_err());
}
