//! Model folders: what is read, and what is refused by name.

#![expect(clippy::unwrap_used, reason = "what fails here fails the test")]

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use lucida_core::ErrorKind;
use lucida_models::checkpoint::{ModelFolder, Pooling, TextSettings, WeightsId};
use lucida_testkit::parity::model_folder;
use lucida_testkit::parity_texts::copy_folder;
use safetensors::Dtype;
use safetensors::tensor::TensorView;
use serde_json::{Value, json};
use tempfile::TempDir;

type Shapes = Vec<(String, Vec<usize>)>;

/// Every tensor of a BERT of one layer, as wide as two heads of two.
fn bert_shapes() -> Shapes {
    let mut shapes = vec![
        ("embeddings.word_embeddings.weight".to_owned(), vec![7, 4]),
        ("embeddings.position_embeddings.weight".to_owned(), vec![6, 4]),
        ("embeddings.token_type_embeddings.weight".to_owned(), vec![2, 4]),
    ];
    let layer = "encoder.layer.0";
    for (name, outputs, inputs) in [
        ("attention.self.query", 4, 4),
        ("attention.self.key", 4, 4),
        ("attention.self.value", 4, 4),
        ("attention.output.dense", 4, 4),
        ("intermediate.dense", 8, 4),
        ("output.dense", 4, 8),
    ] {
        shapes.push((format!("{layer}.{name}.weight"), vec![outputs, inputs]));
        shapes.push((format!("{layer}.{name}.bias"), vec![outputs]));
    }
    for norm in [
        "embeddings.LayerNorm".to_owned(),
        format!("{layer}.attention.output.LayerNorm"),
        format!("{layer}.output.LayerNorm"),
    ] {
        shapes.push((format!("{norm}.weight"), vec![4]));
        shapes.push((format!("{norm}.bias"), vec![4]));
    }
    shapes
}

fn bert_config() -> Value {
    json!({
        "model_type": "bert", "hidden_size": 4, "intermediate_size": 8, "num_hidden_layers": 1,
        "num_attention_heads": 2, "vocab_size": 7, "max_position_embeddings": 6, "type_vocab_size": 2,
    })
}

fn write_json(path: impl AsRef<Path>, value: &Value) {
    std::fs::create_dir_all(path.as_ref().parent().unwrap()).unwrap();
    std::fs::write(path, value.to_string()).unwrap();
}

/// Writes tensors whose numbers count up from `first`.
fn write_weights(path: &Path, shapes: &Shapes, first: u16) {
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    let mut next = first;
    let data: Vec<_> = shapes
        .iter()
        .map(|(_, shape)| {
            let numbers = (0..shape.iter().product()).flat_map(|_: usize| {
                next += 1;
                f32::from(next).to_le_bytes()
            });
            numbers.collect::<Vec<u8>>()
        })
        .collect();
    let views = shapes
        .iter()
        .zip(&data)
        .map(|((name, shape), data)| (name, TensorView::new(Dtype::F32, shape.clone(), data).unwrap()));
    safetensors::serialize_to_file(views, None, path).unwrap();
}

/// A folder with a BERT in it.
fn bert() -> (TempDir, PathBuf) {
    let place = tempfile::tempdir().unwrap();
    let folder = place.path().to_path_buf();
    write_json(folder.join("config.json"), &bert_config());
    write_weights(&folder.join("model.safetensors"), &bert_shapes(), 0);
    (place, folder)
}

/// Says that the folder is a Transformer, a Pooling by the mean, and a Dense from 4 to 3 numbers.
fn add_modules(folder: &Path) {
    write_json(
        folder.join("modules.json"),
        &json!([
            {"idx": 0, "name": "0", "path": "", "type": "sentence_transformers.models.Transformer"},
            {"idx": 1, "name": "1", "path": "1_Pooling", "type": "sentence_transformers.models.Pooling"},
            {"idx": 2, "name": "2", "path": "2_Dense", "type": "sentence_transformers.models.Dense"},
            {"idx": 3, "name": "3", "path": "3_Normalize", "type": "sentence_transformers.models.Normalize"},
        ]),
    );
    write_json(
        folder.join("1_Pooling/config.json"),
        &json!({"word_embedding_dimension": 4, "pooling_mode_cls_token": false, "pooling_mode_mean_tokens": true}),
    );
    write_json(
        folder.join("2_Dense/config.json"),
        &json!({
            "in_features": 4, "out_features": 3, "bias": false,
            "activation_function": "torch.nn.modules.linear.Identity",
        }),
    );
    let weight = ("linear.weight".to_owned(), vec![3, 4]);
    write_weights(&folder.join("2_Dense/model.safetensors"), &vec![weight], 0);
}

fn refusal(folder: &Path) -> lucida_core::Error {
    let opened = ModelFolder::open(folder);
    match opened.and_then(|folder| folder.text_tower()) {
        Ok(_) => panic!("{} was read", folder.display()),
        Err(error) => error,
    }
}

#[test]
fn a_text_encoder_is_read_tensor_by_tensor() {
    let (_place, path) = bert();
    let folder = ModelFolder::open(&path).unwrap();
    assert!(folder.takes_texts() && !folder.takes_images() && folder.has_weights());
    let tower = folder.text_tower().unwrap();
    assert_eq!(tower.pooling, [Pooling::Mean]);
    assert_eq!(tower.encoder.heads, 2);
    assert_eq!(tower.tensors().len(), bert_shapes().len());
    assert_eq!(tower.embedding.tokens.to_f32()[..3], [1.0, 2.0, 3.0]);
    assert_eq!(folder.text_dimensions().unwrap(), 4);
}

#[test]
fn the_modules_of_sentence_transformers_follow_the_encoder() {
    let (_place, path) = bert();
    add_modules(&path);
    let folder = ModelFolder::open(&path).unwrap();
    let tower = folder.text_tower().unwrap();
    assert_eq!(tower.dense.len(), 1);
    assert_eq!(tower.dense[0].linear.weight.shape(), [3, 4]);
    assert_eq!(folder.text_dimensions().unwrap(), 3);
}

#[test]
fn several_poolings_are_joined_in_the_order_of_sentence_transformers() {
    let (_place, path) = bert();
    add_modules(&path);
    std::fs::remove_dir_all(path.join("2_Dense")).unwrap();
    write_json(
        path.join("modules.json"),
        &json!([
            {"path": "", "type": "sentence_transformers.models.Transformer"},
            {"path": "1_Pooling", "type": "sentence_transformers.models.Pooling"},
        ]),
    );
    let both = json!({"pooling_mode_mean_tokens": true, "pooling_mode_cls_token": true});
    for config in [both, json!({"pooling_mode": ["cls", "mean"]})] {
        write_json(path.join("1_Pooling/config.json"), &config);
        let folder = ModelFolder::open(&path).unwrap();
        assert_eq!(
            folder.text_tower().unwrap().pooling,
            [Pooling::First, Pooling::Mean]
        );
        assert_eq!(folder.text_dimensions().unwrap(), 8);
    }
}

#[test]
fn every_missing_tensor_is_named() {
    let (_place, path) = bert();
    for left_out in bert_shapes() {
        let rest: Shapes = bert_shapes()
            .into_iter()
            .filter(|shape| *shape != left_out)
            .collect();
        write_weights(&path.join("model.safetensors"), &rest, 0);
        let error = refusal(&path);
        // The start of the names tells apart what a checkpoint of a task's model has one level down.
        assert_eq!(error.kind(), ErrorKind::Internal);
        assert!(
            error.message().contains(&left_out.0),
            "{error} does not name {}",
            left_out.0
        );
    }
}

#[test]
fn a_tensor_of_another_shape_is_named_with_both() {
    let (_place, path) = bert();
    let mut shapes = bert_shapes();
    shapes[1].1 = vec![5, 4];
    write_weights(&path.join("model.safetensors"), &shapes, 0);
    let error = refusal(&path);
    for part in [
        "embeddings.position_embeddings.weight",
        "[5, 4]",
        "[6, 4]",
        "model.safetensors",
    ] {
        assert!(error.message().contains(part), "{error}");
    }
}

#[test]
fn a_file_cut_short_is_named() {
    let (_place, path) = bert();
    let file = path.join("model.safetensors");
    let whole = std::fs::read(&file).unwrap();
    for keep in [0, 5, 100, whole.len() - 1] {
        std::fs::write(&file, &whole[..keep]).unwrap();
        let error = refusal(&path);
        assert!(error.message().contains("model.safetensors"), "{error}");
    }
}

#[test]
fn a_pytorch_file_that_is_none_is_named() {
    let (_place, path) = bert();
    std::fs::remove_file(path.join("model.safetensors")).unwrap();
    std::fs::write(path.join("pytorch_model.bin"), b"PK\x03\x04 and nothing else").unwrap();
    let error = refusal(&path);
    assert!(error.message().contains("pytorch_model.bin"), "{error}");
}

#[test]
fn a_module_that_is_not_read_is_named() {
    let (_place, path) = bert();
    add_modules(&path);
    write_json(
        path.join("modules.json"),
        &json!([
            {"path": "", "type": "sentence_transformers.models.Transformer"},
            {"path": "1_LSTM", "type": "sentence_transformers.models.LSTM"},
        ]),
    );
    let error = refusal(&path);
    assert_eq!(error.kind(), ErrorKind::Unsupported);
    assert!(
        error.message().contains("sentence_transformers.models.LSTM"),
        "{error}"
    );
}

#[test]
fn a_dense_that_does_not_fit_the_pooling_is_named() {
    let (_place, path) = bert();
    add_modules(&path);
    write_json(
        path.join("2_Dense/config.json"),
        &json!({"in_features": 5, "out_features": 3, "bias": false, "activation_function": "Identity"}),
    );
    let weight = ("linear.weight".to_owned(), vec![3, 5]);
    write_weights(&path.join("2_Dense/model.safetensors"), &vec![weight], 0);
    let error = refusal(&path);
    assert!(
        error.message().contains("takes 5") && error.message().contains("gives 4"),
        "{error}"
    );
}

#[test]
fn a_model_or_a_value_that_is_not_read_is_named() {
    let (_place, path) = bert();
    for (key, value, says) in [
        (
            "model_type",
            json!("siglipp"),
            "the nearest that is read is `siglip`",
        ),
        ("model_type", json!("siglipp"), "needs an ONNX export in `onnx/`"),
        ("model_type", json!("llava"), "generative"),
        ("model_type", json!("qwen2_vl"), "tiles"),
        ("model_type", json!("deberta-v2"), "type = \"onnx\""),
        ("hidden_act", json!("swiglu"), "swiglu"),
        ("position_embedding_type", json!("relative_key"), "relative_key"),
        ("num_attention_heads", json!(3), "divided into 3"),
        ("hidden_size", json!("wide"), "config.json"),
        ("max_position_embeddings", json!(0), "no position"),
    ] {
        let mut config = bert_config();
        config[key] = value;
        write_json(path.join("config.json"), &config);
        let error = refusal(&path);
        assert!(error.message().contains(says), "{error}");
    }
}

#[test]
fn a_qwen3_that_writes_texts_is_told_from_one_for_embeddings() {
    let place = tempfile::tempdir().unwrap();
    write_json(place.path().join("config.json"), &json!({"model_type": "qwen3"}));
    let error = ModelFolder::open(place.path()).unwrap_err();
    assert!(error.message().contains("modules.json"), "{error}");
}

fn siglip_config() -> Value {
    let tower = json!({
        "hidden_size": 4, "intermediate_size": 8, "num_hidden_layers": 1, "num_attention_heads": 2,
        "image_size": 8, "patch_size": 4, "vocab_size": 7, "max_position_embeddings": 6,
    });
    json!({"model_type": "siglip", "vision_config": tower, "text_config": tower})
}

/// Copies one of the parity models.
fn copy(name: &str) -> TempDir {
    let copy = tempfile::tempdir().unwrap();
    for entry in std::fs::read_dir(lucida_testkit::parity::model_folder(name)).unwrap() {
        let path = entry.unwrap().path();
        std::fs::copy(&path, copy.path().join(path.file_name().unwrap())).unwrap();
    }
    copy
}

fn change(path: &Path, pointer: &str, value: Value) {
    let mut file: Value = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
    let (parent, key) = pointer.rsplit_once('/').unwrap();
    file.pointer_mut(parent).unwrap()[key] = value;
    write_json(path, &file);
}

#[test]
fn a_siglip_2_naflex_and_one_without_its_head_are_refused_by_name() {
    let place = tempfile::tempdir().unwrap();
    for (pointer, value, says) in [
        ("/vision_config/num_patches", json!(256), "NaFlex"),
        ("/vision_config/vision_use_head", json!(false), "vision_use_head"),
        ("/vision_config/num_channels", json!(1), "1 channels"),
        ("/vision_config/image_size", json!([8, 4]), "image_size"),
    ] {
        let path = place.path().join("config.json");
        write_json(&path, &siglip_config());
        change(&path, pointer, value);
        let error = ModelFolder::open(place.path()).unwrap_err();
        assert!(error.message().contains(says), "{error}");
    }
    let mut config = siglip_config();
    config["model_type"] = json!("siglip2");
    config["vision_config"]
        .as_object_mut()
        .unwrap()
        .remove("image_size");
    write_json(place.path().join("config.json"), &config);
    let error = ModelFolder::open(place.path()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unsupported);
    assert!(error.message().contains("NaFlex"), "{error}");
}

#[test]
fn a_siglip_without_a_tensor_of_its_head_is_refused_by_the_tensor() {
    let folder = copy("siglip");
    let path = folder.path().join("model.safetensors");
    let bytes = std::fs::read(&path).unwrap();
    let tensors = safetensors::SafeTensors::deserialize(&bytes).unwrap();
    for left_out in [
        "vision_model.head.probe",
        "vision_model.head.attention.in_proj_bias",
    ] {
        let rest = tensors.iter().filter(|(name, _)| *name != left_out);
        safetensors::serialize_to_file(rest, None, &path).unwrap();
        let error = ModelFolder::open(folder.path())
            .unwrap()
            .image_encoder()
            .unwrap_err();
        assert!(error.message().contains(left_out), "{error}");
    }
}

#[test]
fn a_siglip_whose_tokenizer_lacks_its_padding_is_refused_by_the_token() {
    let folder = copy("siglip");
    change(
        &folder.path().join("tokenizer_config.json"),
        "/pad_token",
        json!("<fill>"),
    );
    let Err(error) = ModelFolder::open(folder.path()).unwrap().tokenizer() else {
        panic!("a tokenizer without its padding was read");
    };
    assert!(error.message().contains("`<fill>`"), "{error}");
}

#[test]
fn a_sentencepiece_model_that_is_damaged_is_named() {
    let folder = copy("siglip");
    let path = folder.path().join("spiece.model");
    let whole = std::fs::read(&path).unwrap();
    std::fs::write(&path, &whole[..whole.len() - 5]).unwrap();
    let Err(error) = ModelFolder::open(folder.path()).unwrap().tokenizer() else {
        panic!("a damaged tokenizer was read");
    };
    assert!(error.message().contains("spiece.model"), "{error}");
}

#[test]
fn a_tower_of_open_clip_that_is_not_read_is_refused_by_its_name() {
    for (pointer, value, says) in [
        (
            "/model_cfg/vision_cfg/timm_model_name",
            json!("vit_base_patch16_siglip_224"),
            "google/siglip2",
        ),
        (
            "/model_cfg/vision_cfg/timm_model_name",
            json!("fastvit_mci3"),
            "`fastvit_mci3`",
        ),
        ("/model_cfg/vision_cfg/layers", json!([3, 4, 6, 3]), "ResNet"),
        (
            "/model_cfg/vision_cfg/attentional_pool",
            json!(true),
            "attentional_pool",
        ),
        ("/model_cfg/vision_cfg/ls_init_value", json!(0.1), "ls_init_value"),
        ("/model_cfg/vision_cfg/image_size", json!([64, 32]), "squares"),
        (
            "/model_cfg/text_cfg/hf_model_name",
            json!("google/mt5-base"),
            "mt5-base",
        ),
        ("/model_cfg/text_cfg/pool_type", json!("none"), "`none`"),
        ("/model_cfg/text_cfg/tokenizer_mode", json!("clips"), "`clips`"),
        ("/model_cfg/multimodal_cfg", json!({"layers": 2}), "CoCa"),
        ("/preprocess_cfg/resize_mode", json!("widest"), "`widest`"),
    ] {
        let folder = copy("openclip-quickgelu");
        change(&folder.path().join("open_clip_config.json"), pointer, value);
        let read = || {
            let folder = ModelFolder::open(folder.path())?;
            folder.image_recipe()?;
            folder.image_encoder()?;
            folder.text_tower().map(drop)
        };
        let error = read().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unsupported, "{error}");
        assert!(error.message().contains(says), "{error}");
    }
}

#[test]
fn a_repository_with_both_layouts_is_read_as_its_transformers_model() {
    let folder = copy("clip");
    for file in ["open_clip_config.json", "open_clip_model.safetensors"] {
        let from = lucida_testkit::parity::model_folder("openclip-quickgelu").join(file);
        std::fs::copy(from, folder.path().join(file)).unwrap();
    }
    // `clip` gives 32 numbers, and the OpenCLIP model 24.
    assert_eq!(
        ModelFolder::open(folder.path())
            .unwrap()
            .image_dimensions()
            .unwrap(),
        32
    );
    std::fs::remove_file(folder.path().join("model.safetensors")).unwrap();
    assert_eq!(
        ModelFolder::open(folder.path())
            .unwrap()
            .image_dimensions()
            .unwrap(),
        24
    );
}

#[test]
fn shards_are_read_as_one_file_is() {
    let (_place, path) = bert();
    let id = || WeightsId::of(&ModelFolder::open(&path).unwrap().text_tower().unwrap().tensors()).unwrap();
    let whole = id();
    let bytes = std::fs::read(path.join("model.safetensors")).unwrap();
    let tensors = safetensors::SafeTensors::deserialize(&bytes).unwrap();
    let mut places = HashMap::new();
    for (half, file) in [
        "model-00001-of-00002.safetensors",
        "model-00002-of-00002.safetensors",
    ]
    .into_iter()
    .enumerate()
    {
        let part: Vec<_> = tensors
            .iter()
            .enumerate()
            .filter(|(place, _)| place % 2 == half)
            .map(|(_, part)| part)
            .collect();
        places.extend(part.iter().map(|(name, _)| ((*name).to_owned(), file)));
        safetensors::serialize_to_file(part, None, &path.join(file)).unwrap();
    }
    std::fs::remove_file(path.join("model.safetensors")).unwrap();
    write_json(
        path.join("model.safetensors.index.json"),
        &json!({ "weight_map": places }),
    );
    assert_eq!(id(), whole);
    std::fs::remove_file(path.join("model-00002-of-00002.safetensors")).unwrap();
    let error = refusal(&path);
    assert!(
        error.message().contains("model-00002-of-00002.safetensors"),
        "{error}"
    );
}

#[test]
fn an_index_of_shards_can_not_point_out_of_its_folder() {
    let (_place, path) = bert();
    std::fs::remove_file(path.join("model.safetensors")).unwrap();
    let elsewhere = json!({"weight_map": {"a": "../secret.safetensors"}});
    write_json(path.join("model.safetensors.index.json"), &elsewhere);
    assert!(refusal(&path).message().contains("outside its folder"));
}

#[test]
fn the_identity_of_weights_is_that_of_their_numbers() {
    let (_place, path) = bert();
    let id = |path: &Path| {
        let tower = ModelFolder::open(path).unwrap().text_tower().unwrap();
        WeightsId::of(&tower.tensors()).unwrap()
    };
    let (_other, elsewhere) = bert();
    assert_eq!(id(&path), id(&elsewhere));
    write_weights(&path.join("model.safetensors"), &bert_shapes(), 1);
    assert_ne!(id(&path), id(&elsewhere));
}

#[test]
fn a_folder_without_weights_or_tokenizer_says_which_files_are_looked_for() {
    let (_place, path) = bert();
    let Err(error) = ModelFolder::open(&path).unwrap().tokenizer() else {
        panic!("there is no tokenizer to read");
    };
    assert_eq!(error.kind(), ErrorKind::Unavailable);
    assert!(
        error.message().contains("tokenizer.json") && error.message().contains("vocab.txt"),
        "{error}"
    );
    std::fs::remove_file(path.join("model.safetensors")).unwrap();
    let error = refusal(&path);
    assert_eq!(error.kind(), ErrorKind::Unavailable);
    assert!(error.message().contains("pytorch_model.bin"), "{error}");
}

#[test]
fn the_limit_of_a_text_is_the_configuration_s_else_the_folder_s_else_that_of_the_positions() {
    let folder = tempfile::tempdir().unwrap();
    copy_folder(&model_folder("bert"), folder.path());
    let limit = |max_tokens: Option<usize>| {
        let settings = TextSettings {
            max_tokens,
            ..TextSettings::default()
        };
        let folder = ModelFolder::open(folder.path())
            .unwrap()
            .with_text_settings(&settings);
        let tokenizer = folder.tokenizer()?;
        assert_eq!(
            folder.text_info(&tokenizer).unwrap().max_tokens,
            Some(tokenizer.max_tokens())
        );
        Ok::<_, lucida_core::Error>(tokenizer.max_tokens())
    };
    assert_eq!(limit(None).unwrap(), 64);
    assert_eq!(limit(Some(72)).unwrap(), 72);
    assert_eq!(limit(Some(5)).unwrap(), 5);
    let error = limit(Some(81)).unwrap_err();
    assert_eq!(
        (error.kind(), error.field()),
        (ErrorKind::ConfigInvalid, Some("max_tokens"))
    );
    assert!(
        error.message().contains("81") && error.message().contains("80"),
        "{error}"
    );

    // Transformers writes this where nobody has set a length.
    std::fs::remove_file(folder.path().join("sentence_bert_config.json")).unwrap();
    let path = folder.path().join("tokenizer_config.json");
    let mut config: Value = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
    config["model_max_length"] = json!(1e30);
    write_json(&path, &config);
    assert_eq!(limit(None).unwrap(), 80);
}

#[test]
fn a_limit_is_refused_where_texts_are_filled_up_to_the_model_s_length() {
    let folder = copy("siglip");
    let settings = TextSettings {
        max_tokens: Some(32),
        ..TextSettings::default()
    };
    let folder = ModelFolder::open(folder.path())
        .unwrap()
        .with_text_settings(&settings);
    let error = folder.tokenizer().err().unwrap();
    assert_eq!(error.field(), Some("max_tokens"));
    assert!(error.message().contains("64"), "{error}");
}
