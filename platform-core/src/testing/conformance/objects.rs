//! One object and its life.

use super::{Harness, Sample, Subject, Verdict, expect, expect_equal, failed};
use crate::ErrorKind;
use crate::facts::Creation;
use crate::provider::Preview;
use crate::resource::{Live, Owner, Resource};
use crate::value::Uid;
use futures::future::{Either, select};
use std::time::Duration;

/// The sample standing and ready.
async fn stand(subject: &Subject, sample: &Sample) -> Result<Live, String> {
    subject.stand(&sample.needs).await.map_err(failed("what it needs"))?;
    let mut lives = subject
        .stand(std::slice::from_ref(&sample.resource))
        .await
        .map_err(failed("create"))?;
    lives.pop().ok_or_else(|| "nothing was made".to_owned())
}

async fn unchanged(subject: &Subject, resource: &Resource) -> Verdict {
    match subject.preview(resource).await.map_err(failed("preview"))? {
        Preview::Unchanged => Ok(()),
        Preview::Change { after, .. } => {
            let live = subject.live(resource).await.map_err(failed("observe"))?;
            let view = live.map(|live| live.view);
            expect(view.as_ref() == Some(&after), || {
                format!(
                    "{} is settled, yet a plan would change {view:?} to {after:?}",
                    resource.id
                )
            })
        }
        Preview::Refused { why } => Err(format!("{}: refused: {why}", resource.id)),
    }
}

pub(super) async fn absent_is_not_an_error(harness: &dyn Harness, check: &str) -> Verdict {
    let subject = Subject::new(harness, check).await?;
    for sample in harness.samples(check) {
        let seen = subject
            .observe(std::slice::from_ref(&sample.resource))
            .await
            .map_err(failed("observe"))?;
        expect(seen.unreadable.is_empty(), || {
            format!("unreadable: {:?}", seen.unreadable)
        })?;
        expect(seen.get(&sample.resource.id).is_none(), || {
            format!("{} is there", sample.resource.id)
        })?;
    }
    Ok(())
}

pub(super) async fn created_is_settled(harness: &dyn Harness, check: &str) -> Verdict {
    let subject = Subject::new(harness, check).await?;
    for sample in harness.samples(check) {
        let live = stand(&subject, &sample).await?;
        expect_equal("owner", &live.owner, &Owner::ThisSet)?;
        expect_equal("view of what was just made", &live.view, &sample.resource.desired)?;
        unchanged(&subject, &sample.resource).await?;
    }
    Ok(())
}

pub(super) async fn create_is_idempotent(harness: &dyn Harness, check: &str) -> Verdict {
    let subject = Subject::new(harness, check).await?;
    for sample in harness.samples(check) {
        let creation = subject
            .provider
            .facts(sample.resource.id.kind())
            .map(|facts| facts.create);
        if creation == Some(Creation::Unguarded) {
            continue; // recorded as an open create instead
        }
        subject.stand(&sample.needs).await.map_err(failed("what it needs"))?;
        let first = subject
            .create(&sample.resource, "one")
            .await
            .map_err(failed("create"))?;
        let second = subject
            .create(&sample.resource, "one")
            .await
            .map_err(failed("create again"))?;
        expect_equal("uid after the second create", &second.uid, &first.uid)?;
        // From another process, which knows nothing of the first.
        let other = Subject::new(harness, check).await?;
        let third = other
            .create(&sample.resource, "one")
            .await
            .map_err(failed("create from elsewhere"))?;
        expect_equal("uid after the third create", &third.uid, &first.uid)?;
    }
    Ok(())
}

pub(super) async fn create_never_touches_what_is_there(harness: &dyn Harness, check: &str) -> Verdict {
    let subject = Subject::new(harness, check).await?;
    for sample in harness.samples(check) {
        let creation = subject
            .provider
            .facts(sample.resource.id.kind())
            .map(|facts| facts.create);
        if creation != Some(Creation::Exclusive) {
            continue;
        }
        let live = stand(&subject, &sample).await?;
        let other = Resource {
            desired: sample.changed.clone().into(),
            ..sample.resource.clone()
        };
        match subject.create(&other, "other").await {
            Ok(_) => return Err(format!("{}: a create changed what was there", other.id)),
            Err(why) => expect_equal("kind of the refusal", &why.kind(), &ErrorKind::Conflict)?,
        }
        let now = subject.live(&sample.resource).await.map_err(failed("observe"))?;
        let now = now.map(|live| (live.uid, live.view));
        expect_equal("the object afterwards", &now, &Some((live.uid, live.view)))?;
    }
    Ok(())
}

pub(super) async fn becomes_ready_within_its_patience(harness: &dyn Harness, check: &str) -> Verdict {
    let subject = Subject::new(harness, check).await?;
    for sample in harness.samples(check) {
        stand(&subject, &sample).await?;
        // Asked again later, its state is told at once.
        subject
            .ready(&sample.resource.id)
            .await
            .map_err(failed("follow what is ready"))?;
    }
    Ok(())
}

pub(super) async fn update_changes_only_what_differs(harness: &dyn Harness, check: &str) -> Verdict {
    let subject = Subject::new(harness, check).await?;
    for sample in harness.samples(check) {
        let live = stand(&subject, &sample).await?;
        let updated = subject
            .update(&sample.resource, &live, &sample.changed)
            .await
            .map_err(failed("update"))?;
        expect_equal("uid", &updated.uid, &live.uid)?;
        expect_equal("view", &*updated.view, &sample.changed)?;
        let wish = Resource {
            desired: sample.changed.clone().into(),
            ..sample.resource.clone()
        };
        subject
            .ready(&wish.id)
            .await
            .map_err(failed("ready after the update"))?;
        unchanged(&subject, &wish).await?;
    }
    Ok(())
}

pub(super) async fn repeated_update_is_harmless(harness: &dyn Harness, check: &str) -> Verdict {
    let subject = Subject::new(harness, check).await?;
    for sample in harness.samples(check) {
        let live = stand(&subject, &sample).await?;
        for _ in 0..2 {
            // The same call, as after a lost answer.
            let updated = subject
                .update(&sample.resource, &live, &sample.changed)
                .await
                .map_err(failed("update"))?;
            expect_equal("view", &*updated.view, &sample.changed)?;
        }
    }
    Ok(())
}

pub(super) async fn stale_update_is_a_conflict(harness: &dyn Harness, check: &str) -> Verdict {
    let subject = Subject::new(harness, check).await?;
    for sample in harness.samples(check) {
        let first = stand(&subject, &sample).await?;
        if first.version.is_none() {
            continue; // the API has no versions to compare
        }
        subject
            .update(&sample.resource, &first, &sample.changed)
            .await
            .map_err(failed("update"))?;
        match subject.update(&sample.resource, &first, &sample.resource.desired).await {
            Ok(_) => return Err(format!("{}: an update from a stale read went through", first.id)),
            Err(why) => expect_equal("kind of the refusal", &why.kind(), &ErrorKind::Conflict)?,
        }
    }
    Ok(())
}

pub(super) async fn immutable_fields_are_refused(harness: &dyn Harness, check: &str) -> Verdict {
    let subject = Subject::new(harness, check).await?;
    for sample in harness.samples(check) {
        let Some(refused) = &sample.refused else { continue };
        let live = stand(&subject, &sample).await?;
        if let Ok(after) = subject.update(&sample.resource, &live, refused).await {
            return Err(format!("{}: the API took {:?}", live.id, after.view));
        }
        let now = subject.live(&sample.resource).await.map_err(failed("observe"))?;
        expect_equal("view", &now.map(|live| live.view), &Some(live.view))?;
    }
    Ok(())
}

pub(super) async fn deleted_is_gone(harness: &dyn Harness, check: &str) -> Verdict {
    let subject = Subject::new(harness, check).await?;
    for sample in harness.samples(check) {
        let live = stand(&subject, &sample).await?;
        subject.delete(&live).await.map_err(failed("delete"))?;
        subject.gone(&live.id).await.map_err(failed("gone"))?;
        let now = subject.live(&sample.resource).await.map_err(failed("observe"))?;
        expect(now.is_none(), || format!("{} is still there", live.id))?;
        let again = stand(&subject, &sample).await?;
        expect(again.uid != live.uid, || {
            format!("{}: another object has the same uid", live.id)
        })?;
    }
    Ok(())
}

pub(super) async fn deleting_the_absent_is_harmless(harness: &dyn Harness, check: &str) -> Verdict {
    let subject = Subject::new(harness, check).await?;
    for sample in harness.samples(check) {
        let live = stand(&subject, &sample).await?;
        subject.delete(&live).await.map_err(failed("delete"))?;
        subject.gone(&live.id).await.map_err(failed("gone"))?;
        subject.delete(&live).await.map_err(failed("delete what is gone"))?;
    }
    Ok(())
}

pub(super) async fn another_incarnation_is_not_deleted(harness: &dyn Harness, check: &str) -> Verdict {
    let subject = Subject::new(harness, check).await?;
    for sample in harness.samples(check) {
        let live = stand(&subject, &sample).await?;
        let other = Live {
            uid: Uid::new("00000000-0000-4000-8000-000000000000"),
            ..live.clone()
        };
        match subject.delete(&other).await {
            Ok(_) => return Err(format!("{}: deleted by the uid of another", live.id)),
            Err(why) => expect_equal("kind of the refusal", &why.kind(), &ErrorKind::Conflict)?,
        }
        let now = subject.live(&sample.resource).await.map_err(failed("observe"))?;
        expect_equal("uid", &now.map(|live| live.uid), &Some(live.uid))?;
    }
    Ok(())
}

pub(super) async fn released_stays_and_is_adopted_again(harness: &dyn Harness, check: &str) -> Verdict {
    let subject = Subject::new(harness, check).await?;
    for sample in harness.samples(check) {
        let live = stand(&subject, &sample).await?;
        subject.release(&live).await.map_err(failed("release"))?;
        subject.release(&live).await.map_err(failed("release again"))?;
        let kept = subject.live(&sample.resource).await.map_err(failed("observe"))?;
        let Some(kept) = kept else {
            return Err(format!("{} is gone or no longer found", live.id));
        };
        expect_equal("owner", &(kept.owner.clone(), &kept.uid), &(Owner::Retained, &live.uid))?;
        let desired = &sample.resource.desired;
        let adopted = subject
            .update(&sample.resource, &kept, desired)
            .await
            .map_err(failed("adopt"))?;
        expect_equal("owner", &(adopted.owner, adopted.uid), &(Owner::ThisSet, live.uid))?;
        unchanged(&subject, &sample.resource).await?;
    }
    Ok(())
}

pub(super) async fn unwanted_shows_as_extra(harness: &dyn Harness, check: &str) -> Verdict {
    let subject = Subject::new(harness, check).await?;
    for sample in harness.samples(check) {
        let live = stand(&subject, &sample).await?;
        let seen = subject.observe(&[]).await.map_err(failed("observe"))?;
        let extra = seen.extra.get(&live.id).map(|live| live.uid.clone());
        expect_equal("extra", &extra, &Some(live.uid))?;
    }
    Ok(())
}

pub(super) async fn reading_changes_nothing(harness: &dyn Harness, check: &str) -> Verdict {
    let subject = Subject::new(harness, check).await?;
    for sample in harness.samples(check) {
        let live = stand(&subject, &sample).await?;
        let wish = Resource {
            desired: sample.changed.clone().into(),
            ..sample.resource.clone()
        };
        match subject.preview(&wish).await.map_err(failed("preview"))? {
            Preview::Change { .. } => {}
            other => return Err(format!("{}: a changed wish previews as {other:?}", wish.id)),
        }
        let now = subject.live(&sample.resource).await.map_err(failed("observe"))?;
        let now = now.map(|live| (live.uid, live.view));
        expect_equal("the object after a preview", &now, &Some((live.uid, live.view)))?;
    }
    Ok(())
}

pub(super) async fn longest_names_work(harness: &dyn Harness, check: &str) -> Verdict {
    let subject = Subject::new(harness, check).await?;
    for sample in harness.samples(check) {
        let Some(longest) = sample.longest.clone() else {
            continue;
        };
        let sample = Sample {
            resource: longest,
            ..sample
        };
        stand(&subject, &sample).await?;
        unchanged(&subject, &sample.resource).await?;
    }
    Ok(())
}

pub(super) async fn cancelled_create_is_resumable(harness: &dyn Harness, check: &str) -> Verdict {
    let subject = Subject::new(harness, check).await?;
    for sample in harness.samples(check) {
        let creation = subject
            .provider
            .facts(sample.resource.id.kind())
            .map(|facts| facts.create);
        if creation == Some(Creation::Unguarded) {
            continue;
        }
        subject.stand(&sample.needs).await.map_err(failed("what it needs"))?;
        let create = Box::pin(subject.create(&sample.resource, "one"));
        let soon = harness.clock().sleep(Duration::from_millis(2));
        if let Either::Right(((), create)) = select(create, soon).await {
            drop(create);
        }
        let live = subject
            .create(&sample.resource, "one")
            .await
            .map_err(failed("create again"))?;
        subject.ready(&live.id).await.map_err(failed("ready"))?;
        unchanged(&subject, &sample.resource).await?;
    }
    Ok(())
}

pub(super) async fn identity_is_stable(harness: &dyn Harness, check: &str) -> Verdict {
    let (first, second) = (Subject::new(harness, check).await?, Subject::new(harness, check).await?);
    let one = first.provider.identity().await.map_err(failed("identity"))?;
    let two = second.provider.identity().await.map_err(failed("identity"))?;
    expect(!one.0.is_empty(), || "an empty identity proves nothing".to_owned())?;
    expect_equal("identity from another client", &two, &one)
}

pub(super) async fn no_secret_shows(harness: &dyn Harness, check: &str) -> Verdict {
    let subject = Subject::new(harness, check).await?;
    let mut printed = Vec::new();
    for sample in harness.samples(check) {
        let live = stand(&subject, &sample).await?;
        let seen = subject
            .observe(std::slice::from_ref(&sample.resource))
            .await
            .map_err(failed("observe"))?;
        let preview = subject.preview(&sample.resource).await.map_err(failed("preview"))?;
        printed.push(format!("{live:?} {seen:?} {preview:?} {:?}", subject.provider));
        if let Err(why) = subject
            .update(&sample.resource, &live, &serde_json::json!({"data": 5, "spec": 5}))
            .await
        {
            printed.push(format!("{why:?} {}", why.report()));
        }
    }
    for secret in harness.secrets() {
        expect(!printed.iter().any(|text| text.contains(&secret)), || {
            "a secret value shows".to_owned()
        })?;
    }
    Ok(())
}
