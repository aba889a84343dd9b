-- $1 users; the first twentieth of them are coaches.
INSERT INTO auth.users (instance_id, id, aud, role, email, raw_app_meta_data, raw_user_meta_data, created_at, updated_at)
SELECT '00000000-0000-0000-0000-000000000000', pg_temp.user_id(n), 'authenticated', 'authenticated',
       'user' || n || '@example.com', '{"provider": "email", "providers": ["email"]}',
       jsonb_build_object('full_name', names.list[1 + n % cardinality(names.list)] || ' ' || n),
       timestamptz '2024-03-01 08:00+00' + n * interval '37 minutes',
       timestamptz '2024-03-01 08:00+00' + n * interval '37 minutes'
FROM generate_series(1, $1::bigint) AS n,
     (SELECT ARRAY['Ingrid Solberg', 'ليلى حداد', 'נועה לוי', '王小明', '佐藤 健', '김민준', 'Zoë Müller', 'José Núñez',
                   'Олена Шевченко', 'Γιώργος Παππάς', 'आरव शर्मा', 'สมชาย ใจดี', 'Nguyễn Văn An', 'Ayşe Yılmaz',
                   'Siân O''Brien', 'Łukasz Żak', 'Emma Smith', 'Liam Johnson', 'Bjørn Ærlig 💪'] AS list) AS names
