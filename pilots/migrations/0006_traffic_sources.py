"""The names under which usage was logged, the rules that read them, and rows that outlive their replacement."""

import hashlib
import json

import django.db.models.deletion
from django.db import migrations, models


def name_sources(apps, schema_editor):
    """Rows of before were named by the workload and the model themselves."""
    days, sources = apps.get_model("pilots", "TrafficDay"), apps.get_model("pilots", "TrafficSource")
    for workload, slug, model, called in days.objects.values_list(
        "workload_id", "workload__slug", "model_id", "model__slug"
    ).distinct():
        digest = hashlib.sha256(json.dumps([slug, [], called]).encode()).hexdigest()
        source, _ = sources.objects.get_or_create(
            digest=digest, defaults={"key_alias": slug, "tags": [], "wire_name": called}
        )
        days.objects.filter(workload_id=workload, model_id=model).update(source=source)


class Migration(migrations.Migration):

    dependencies = [
        ('evaluations', '0009_answers_in_order'),
        ('pilots', '0005_tokens'),
    ]

    operations = [
        migrations.CreateModel(
            name='TrafficRule',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('kind', models.CharField(max_length=24)),
                ('name', models.CharField(max_length=200)),
                ('from_on', models.DateField(null=True)),
                ('made_by', models.CharField(max_length=200)),
                ('made_at', models.DateTimeField()),
            ],
            options={
                'ordering': ['kind', 'name', 'from_on'],
            },
        ),
        migrations.CreateModel(
            name='TrafficSource',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('key_alias', models.CharField(blank=True, max_length=200)),
                ('tags', models.JSONField(default=list)),
                ('wire_name', models.CharField(max_length=200)),
                ('digest', models.CharField(max_length=64, unique=True)),
            ],
        ),
        migrations.RemoveConstraint(
            model_name='trafficday',
            name='traffic_day_once',
        ),
        migrations.AddField(
            model_name='trafficday',
            name='replaced_at',
            field=models.DateTimeField(null=True),
        ),
        migrations.AlterField(
            model_name='trafficday',
            name='model',
            field=models.ForeignKey(db_constraint=False, db_index=False, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to='evaluations.modelversion'),
        ),
        migrations.AlterField(
            model_name='trafficday',
            name='workload',
            field=models.ForeignKey(db_constraint=False, db_index=False, null=True, on_delete=django.db.models.deletion.CASCADE, related_name='traffic_days', to='evaluations.workload'),
        ),
        migrations.AddField(
            model_name='trafficrule',
            name='model',
            field=models.ForeignKey(null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to='evaluations.modelversion'),
        ),
        migrations.AddField(
            model_name='trafficrule',
            name='workload',
            field=models.ForeignKey(null=True, on_delete=django.db.models.deletion.CASCADE, related_name='traffic_rules', to='evaluations.workload'),
        ),
        migrations.AddField(
            model_name='trafficday',
            name='source',
            field=models.ForeignKey(db_constraint=False, db_index=False, null=True, on_delete=django.db.models.deletion.CASCADE, related_name='days', to='pilots.trafficsource'),
        ),
        migrations.RunPython(name_sources, migrations.RunPython.noop),
        migrations.AlterField(
            model_name='trafficday',
            name='source',
            field=models.ForeignKey(db_constraint=False, db_index=False, on_delete=django.db.models.deletion.CASCADE, related_name='days', to='pilots.trafficsource'),
        ),
        migrations.AddIndex(
            model_name='trafficday',
            index=models.Index(fields=['workload', 'day'], name='traffic_of_workload'),
        ),
        migrations.AddIndex(
            model_name='trafficday',
            index=models.Index(condition=models.Q(('workload__isnull', True), ('model__isnull', True), _connector='OR'), fields=['source'], name='traffic_waiting'),
        ),
        migrations.AddConstraint(
            model_name='trafficday',
            constraint=models.UniqueConstraint(condition=models.Q(('replaced_at__isnull', True)), fields=('source', 'day'), name='traffic_day_once'),
        ),
        migrations.AddConstraint(
            model_name='trafficrule',
            constraint=models.CheckConstraint(condition=models.Q(('kind__in', ['key_alias', 'tag', 'wire_name'])), name='traffic_rule_kind_known'),
        ),
        migrations.AddConstraint(
            model_name='trafficrule',
            constraint=models.UniqueConstraint(fields=('kind', 'name', 'from_on'), name='traffic_rule_once'),
        ),
        migrations.AddConstraint(
            model_name='trafficrule',
            constraint=models.UniqueConstraint(condition=models.Q(('from_on__isnull', True)), fields=('kind', 'name'), name='traffic_rule_always_once'),
        ),
        migrations.AddConstraint(
            model_name='trafficrule',
            constraint=models.CheckConstraint(condition=models.Q(('workload__isnull', False), ('model__isnull', False), _connector='OR'), name='traffic_rule_says_something'),
        ),
        migrations.AddConstraint(
            model_name='trafficrule',
            constraint=models.CheckConstraint(condition=models.Q(('name', ''), _negated=True), name='traffic_rule_has_name'),
        ),
    ]
