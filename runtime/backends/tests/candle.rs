//! Candle against what Hugging Face's transformers computes, on tiny models with random weights (`data/candle/make.py`).

#[path = "candle/fixture.rs"]
mod fixture;

use fixture::{Fixture, difference, named, output};
use wisp_core::{BackendId, Batch, Device, ErrorKind, Kinded, PackedBatch, Precision, Session};

/// Rounding of `f32` over two layers.
const F32_TOLERANCE: f32 = 1e-5;
/// Hidden states are about 1 and so are logits; a bf16 weight has 8 bits of mantissa, an f16 weight 11.
const BF16_TOLERANCE: f32 = 5e-2;
const F16_TOLERANCE: f32 = 5e-3;

/// How far from the reference a value may be. On the CPU small precisions are a way to hold weights, a GPU computes in them as well.
fn tolerance(precision: Precision, device: Device) -> f32 {
    let of_arithmetic = if device == Device::Cpu { 1.0 } else { 2.0 };
    match precision {
        Precision::Bf16 => BF16_TOLERANCE * of_arithmetic,
        Precision::F16 => F16_TOLERANCE * of_arithmetic,
        _ => F32_TOLERANCE,
    }
}

fn run(session: &mut dyn Session, batch: &Batch) -> Vec<wisp_core::NamedTensor> {
    session.run(batch).unwrap_or_else(|error| panic!("{error}"))
}

#[test]
fn every_architecture_and_head_gives_what_the_reference_gives() {
    for fixture in Fixture::all() {
        let batch = &fixture.batches["right"];
        for precision in [Precision::F32, Precision::Bf16, Precision::F16] {
            let mut session = fixture.load(precision).unwrap_or_else(|error| panic!("{}: {error}", fixture.name));
            assert_eq!(session.info().precision, precision);
            let outputs = run(session.as_mut(), &batch.padded());
            for tensor in &outputs {
                let mut expected = batch.values(&tensor.name);
                let mut actual = tensor.tensor.view::<f32>().expect("f32").to_vec();
                if tensor.name == "last_hidden_state" {
                    (expected, actual) = (batch.kept(&expected), batch.kept(&actual));
                }
                let error = difference(&actual, &expected);
                let most = tolerance(precision, fixture.device);
                assert!(
                    error <= most,
                    "{} on {} in {precision}: {} is {error} off",
                    fixture.name,
                    fixture.device,
                    tensor.name
                );
            }
        }
    }
}

#[test]
fn padding_on_the_left_and_holes_keep_the_positions_of_the_reference() {
    for fixture in Fixture::all() {
        let batch = &fixture.batches["left"];
        let outputs = run(fixture.session().as_mut(), &batch.padded());
        let actual = output(&outputs, "last_hidden_state").view::<f32>().expect("f32");
        let error = difference(&batch.kept(actual), &batch.kept(&batch.values("last_hidden_state")));
        assert!(error <= F32_TOLERANCE, "{}: {error}", fixture.name);
    }
}

#[test]
fn packed_rows_and_far_padding_change_nothing() {
    for fixture in Fixture::all() {
        let batch = &fixture.batches["right"];
        let mut session = fixture.session();
        let padded = run(session.as_mut(), &batch.padded());
        let packed = run(session.as_mut(), &batch.packed());
        let far = run(session.as_mut(), &batch.padded_to(20));
        for name in fixture.row_outputs() {
            let expected = output(&padded, name).view::<f32>().expect("f32");
            for (what, outputs) in [("packed", &packed), ("far padding", &far)] {
                let error = difference(output(outputs, name).view().expect("f32"), expected);
                assert!(error <= F32_TOLERANCE, "{}: {name} {what}: {error}", fixture.name);
            }
        }
        let hidden = output(&packed, "last_hidden_state").view::<f32>().expect("f32");
        let expected = batch.kept(output(&padded, "last_hidden_state").view().expect("f32"));
        assert!(difference(hidden, &expected) <= F32_TOLERANCE, "{}: hidden states", fixture.name);
    }
}

#[test]
fn rows_that_are_masked_out_are_zero_and_disturb_no_other() {
    for fixture in Fixture::all() {
        let batch = &fixture.batches["right"];
        let mut session = fixture.session();
        let whole = run(session.as_mut(), &batch.padded());
        let without_first = run(session.as_mut(), &batch.masking_rows(&[0]));
        let without_any = run(session.as_mut(), &batch.masking_rows(&[0, 1, 2, 3]));
        for name in fixture.row_outputs() {
            let (whole, first, none) = (output(&whole, name), output(&without_first, name), output(&without_any, name));
            let width = whole.shape()[1];
            let values = |tensor: &wisp_core::Tensor| tensor.view::<f32>().expect("f32").to_vec();
            assert!(values(first)[..width].iter().chain(&values(none)).all(|value| *value == 0.0), "{name}");
            let error = difference(&values(first)[width..], &values(whole)[width..]);
            assert!(error <= F32_TOLERANCE, "{}: {name}: {error}", fixture.name);
        }
    }
}

#[test]
fn inputs_that_the_model_cannot_take_are_refused_and_the_session_goes_on() {
    for fixture in Fixture::all() {
        let batch = &fixture.batches["right"];
        let mut session = fixture.session();
        for id in [64, -1, i64::MAX, i64::MIN] {
            let error = session.run(&batch.with_id(id)).expect_err("is beyond the vocabulary");
            assert_eq!(error.kind(), ErrorKind::InvalidArgument, "{error}");
            assert!(error.to_string().contains(&format!("`input_ids` holds {id}; the model knows 0 to 63")), "{error}");
        }
        let max_tokens = fixture.max_tokens();
        session.run(&fixture::row(max_tokens)).expect("is the longest row");
        let error = session.run(&fixture::row(max_tokens + 1)).expect_err("is longer").to_string();
        let expected = format!("a row has {} tokens; the model takes at most {max_tokens}", max_tokens + 1);
        assert_eq!(error, expected, "{}", fixture.name);
        run(session.as_mut(), &batch.padded());
    }
}

#[test]
fn token_types_may_be_left_out_and_are_refused_where_there_are_none() {
    let types = |tokens: usize, value| named("token_type_ids", &[tokens], &vec![value; tokens]);
    for (name, expected) in [
        ("bert", None),
        ("xlm-roberta", Some("`token_type_ids` holds 1; the model knows 0 to 0")),
        ("distilbert", Some("packed input `token_type_ids` is Tensor(i64[2]); expected `input_ids`, i64 [2]")),
    ] {
        let mut session = Fixture::read(name).session();
        let ids = named("input_ids", &[2], &[7, 8]);
        let packed = |inputs| Batch::Packed(PackedBatch { inputs, offsets: vec![0, 2] });
        let without = run(session.as_mut(), &packed(vec![ids.clone()]));
        match (session.run(&packed(vec![ids.clone(), types(2, 1)])), expected) {
            (Ok(with), None) => assert_ne!(with, without),
            (Err(error), Some(message)) => assert!(error.to_string().contains(message), "{error}"),
            (result, _) => panic!("{name}: {result:?}"),
        }
        if name != "distilbert" {
            assert_eq!(run(session.as_mut(), &packed(vec![ids, types(2, 0)])), without);
        }
    }
}

#[test]
fn what_probe_reports_is_what_loads() {
    let fixture = Fixture::read("bert");
    let backend = fixture::backend();
    let report = backend.probe();
    let cpu = report.devices.iter().find(|device| device.device == Device::Cpu).expect("is always there");
    assert_eq!((report.backend, &cpu.missing), (BackendId::Candle, &None));
    for precision in Precision::ALL {
        let loaded = fixture.load(precision);
        assert_eq!(loaded.is_ok(), cpu.precisions.contains(&precision), "{precision}");
        if let Err(error) = loaded {
            assert_eq!(error.kind(), ErrorKind::Unsupported, "{error}");
            assert!(error.to_string().contains(&format!("precision {precision} on cpu")), "{error}");
        }
    }
}
