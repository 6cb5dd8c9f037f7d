"""Imports of past switches, each of which can be undone; a pilot of which nothing stands is void."""

import django.db.models.deletion
from django.conf import settings
from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('evaluations', '0016_second_person'),
        ('pilots', '0015_measured_origins'),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.CreateModel(
            name='HistoryImport',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('file_name', models.CharField(max_length=255)),
                ('imported_at', models.DateTimeField()),
                ('imported_by', models.CharField(max_length=200)),
                ('events', models.PositiveIntegerField()),
                ('pilots', models.PositiveIntegerField()),
                ('undone_at', models.DateTimeField(null=True)),
                ('undone_by', models.CharField(blank=True, max_length=200)),
            ],
            options={
                'ordering': ['-imported_at', '-id'],
            },
        ),
        migrations.RemoveConstraint(
            model_name='pilot',
            name='pilot_status_known',
        ),
        migrations.AddConstraint(
            model_name='pilot',
            constraint=models.CheckConstraint(condition=models.Q(('status__in', ['draft', 'planned', 'evaluating', 'decided', 'ramping', 'switched', 'alongside', 'rolled_back', 'superseded', 'ended', 'declined', 'abandoned', 'void'])), name='pilot_status_known'),
        ),
        migrations.AddField(
            model_name='historyimport',
            name='upload',
            field=models.OneToOneField(null=True, on_delete=django.db.models.deletion.SET_NULL, related_name='history_import', to='pilots.upload'),
        ),
        migrations.AddField(
            model_name='historyimport',
            name='user',
            field=models.ForeignKey(null=True, on_delete=django.db.models.deletion.SET_NULL, related_name='+', to=settings.AUTH_USER_MODEL),
        ),
        migrations.AddConstraint(
            model_name='historyimport',
            constraint=models.CheckConstraint(condition=models.Q(('undone_at__isnull', True), models.Q(('undone_by', ''), _negated=True), _connector='OR'), name='history_import_undone_by_somebody'),
        ),
    ]
