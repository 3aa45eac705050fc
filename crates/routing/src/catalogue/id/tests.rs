//! Every form of a name.

use super::*;

#[test]
fn other_gateways_prefixes_and_regions_are_removed() {
    for (text, region, id) in [
        ("amazon.nova-lite-v1:0", None, "amazon.nova-lite-v1:0"),
        ("bedrock/amazon.nova-lite-v1:0", None, "amazon.nova-lite-v1:0"),
        ("bedrock/converse/us.amazon.nova-lite-v1:0", None, "us.amazon.nova-lite-v1:0"),
        ("bedrock/invoke/nova-lite", None, "nova-lite"),
        ("bedrock_converse/nova-lite", None, "nova-lite"),
        ("bedrock/eu-west-1/a.b", Some("eu-west-1"), "a.b"),
        ("bedrock/us-gov-east-1/a.b", Some("us-gov-east-1"), "a.b"),
        ("bedrock/converse/ap-southeast-2/a.b", Some("ap-southeast-2"), "a.b"),
        ("bedrock/my-model/x", None, "my-model/x"),
        ("eu-west-1/a.b", None, "eu-west-1/a.b"),
        ("", None, ""),
    ] {
        let name = Name::parse(text);
        assert_eq!((name.region, name.id.text()), (region, id), "{text}");
    }
}

#[test]
fn profiles_are_distinguished_from_models() {
    for prefix in PREFIXES {
        let text = format!("{prefix}.vendor.model-v1:0");
        let name = Name::parse(&text);
        assert_eq!(name.id, Id::Profile { id: &text, base: "vendor.model-v1:0" });
        assert!(!name.id.is_on_demand());
    }
    for text in ["vendor.model", "us.model", "nova-pro", "usa.vendor.model", "global"] {
        assert_eq!(Name::parse(text).id, Id::Model(text));
        assert!(Name::parse(text).id.is_on_demand());
    }
}

#[test]
fn every_arn_has_its_kind_and_its_model_if_it_names_one() {
    use ArnKind::*;
    let cases = [
        ("arn:aws:bedrock:us-east-1::foundation-model/v.m-v1:0", FoundationModel, Some("v.m-v1:0")),
        (
            "arn:aws-us-gov:bedrock:us-gov-west-1:123456789012:inference-profile/us-gov.v.m",
            InferenceProfile,
            Some("v.m"),
        ),
        (
            "arn:aws:bedrock:us-east-1:123456789012:application-inference-profile/abc",
            ApplicationInferenceProfile,
            None,
        ),
        ("arn:aws:bedrock:us-east-1:123456789012:provisioned-model/abc", ProvisionedModel, None),
        (
            "arn:aws:bedrock:us-east-1:123456789012:custom-model/v.m-v1:0:300k/abc",
            CustomModel,
            Some("v.m-v1:0:300k"),
        ),
        (
            "arn:aws:bedrock:us-east-1:123456789012:custom-model-deployment/abc",
            CustomModelDeployment,
            None,
        ),
        ("arn:aws:bedrock:us-east-1:123456789012:imported-model/abc", ImportedModel, None),
        ("arn:aws:bedrock:us-east-1:123456789012:prompt/ABCDEFGHIJ:2", Prompt, None),
        ("arn:aws:bedrock:us-east-1:123456789012:prompt-router/abc", PromptRouter, None),
        (
            "arn:aws:bedrock:us-east-1:123456789012:default-prompt-router/v.m:1",
            DefaultPromptRouter,
            Some("v.m:1"),
        ),
        ("arn:aws-cn:sagemaker:cn-north-1:123456789012:endpoint/mine", SageMakerEndpoint, None),
    ];
    for (text, kind, base) in cases {
        match Name::parse(text).id {
            Id::Arn(arn) => assert_eq!((arn.kind, arn.base(), arn.text), (kind, base, text)),
            other => panic!("{text}: {other:?}"),
        }
        let prefixed = format!("bedrock/{text}");
        assert_eq!(Name::parse(&prefixed).id.text(), text);
    }
    for text in
        ["arn:aws:s3:::bucket/key", "arn:aws:bedrock:us-east-1", "arn:x:bedrock:r:a:prompt/p"]
    {
        assert_eq!(Name::parse(text).id, Id::Model(text), "Bedrock's to judge");
    }
}
