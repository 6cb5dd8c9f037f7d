"""What traffic says of each pilot, and the contradictions that were found."""

import django.db.models.deletion
from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('pilots', '0008_uploads'),
    ]

    operations = [
        migrations.CreateModel(
            name='TrafficReading',
            fields=[
                ('pilot', models.OneToOneField(on_delete=django.db.models.deletion.CASCADE, primary_key=True, related_name='traffic_reading', serialize=False, to='pilots.pilot')),
                ('pilot_version', models.PositiveIntegerField()),
                ('due', models.BooleanField(default=False)),
                ('read_at', models.DateTimeField()),
                ('observed_days', models.PositiveIntegerField()),
                ('first_on', models.DateField(null=True)),
                ('last_on', models.DateField(null=True)),
                ('state', models.CharField(blank=True, max_length=24)),
                ('state_since', models.DateField(null=True)),
                ('confirmed', models.JSONField(default=list)),
                ('found', models.JSONField(default=list)),
                ('confirmed_on', models.DateField(null=True)),
            ],
            options={
                'indexes': [models.Index(condition=models.Q(('due', True)), fields=['due'], name='traffic_reading_due')],
            },
        ),
        migrations.CreateModel(
            name='TrafficConflict',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('kind', models.CharField(max_length=24)),
                ('since_on', models.DateField()),
                ('found_at', models.DateTimeField()),
                ('words', models.CharField(max_length=500)),
                ('disputed_at', models.DateTimeField(null=True)),
                ('disputed_by', models.CharField(blank=True, max_length=200)),
                ('settled_at', models.DateTimeField(null=True)),
                ('pilot', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='traffic_conflicts', to='pilots.pilot')),
            ],
            options={
                'ordering': ['pilot', 'since_on'],
                'constraints': [models.CheckConstraint(condition=models.Q(('kind__in', ['went_back', 'still_on_it', 'unrecorded'])), name='traffic_conflict_kind_known'), models.UniqueConstraint(fields=('pilot', 'kind', 'since_on'), name='traffic_conflict_once')],
            },
        ),
    ]
